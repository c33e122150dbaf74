"""`fusegpt doctor` finds what is wrong with a machine and says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.commands import doctor
from service.commands.reach import answers
from service.settings import Settings


def settings(tmp_path: Path, **changes: str) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(tmp_path / "home"), **changes})


def test_a_machine_with_nothing_configured_is_ready(tmp_path: Path) -> None:
    assert all(finding.state != "fail" for finding in doctor.findings(settings(tmp_path)))


@pytest.mark.parametrize(
    ("made", "said"), [("", "is no folder"), ("a data root", "is empty"), ("a data root/notes", "holds no KITTI drive")]
)
def test_data_that_is_not_there_is_named_with_the_way_to_get_it(
    tmp_path: Path, made: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / made).mkdir(parents=True, exist_ok=True)
    root = tmp_path / "a data root"
    monkeypatch.setenv("FUSEGPT_DATA", str(root))
    told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    line = next(line for line in told.output.splitlines() if line.startswith("FAIL"))
    assert line.startswith(f"FAIL  data      FUSEGPT_DATA: {root} {said}")
    assert f"fusegpt data fetch kitti --drives 0001,0005 --to '{root}'" in line


def test_a_folder_that_may_not_be_looked_at_is_told_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(Path, "is_dir", refused)
    found = doctor._found("data", lambda: doctor.driving(settings(tmp_path, FUSEGPT_DATA="/secret")))
    assert (found.check, found.state) == ("data", "fail")
    assert found.message.startswith("/secret: Permission denied; let ")


def test_drives_are_counted(tmp_path: Path) -> None:
    (tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync").mkdir(parents=True)
    finding = doctor.driving(settings(tmp_path, FUSEGPT_DATA=str(tmp_path)))
    assert finding.state == "ok"
    assert finding.message.startswith("1 KITTI drives")


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "RAY_ADDRESS"])
def test_a_server_that_does_not_answer_is_named(tmp_path: Path, name: str) -> None:
    with socket.socket() as held:  # bound and not listening: nothing can answer there
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        found = doctor.findings(settings(tmp_path, **{name: address}))
    failed = [finding for finding in found if finding.state == "fail"]
    assert len(failed) == 1
    assert name in failed[0].message
    assert address in failed[0].message


def test_a_listening_server_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert answers(f"127.0.0.1:{server.getsockname()[1]}")


def test_an_address_without_a_port_does_not_answer() -> None:
    assert not answers("nowhere")
