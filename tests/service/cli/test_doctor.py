"""`fusegpt doctor` finds what is wrong with a machine and says what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from service.commands import doctor
from service.commands.reach import answers
from service.settings import Settings


def settings(tmp_path: Path, **changes: str) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(tmp_path / "home"), **changes})


def test_a_machine_with_nothing_configured_is_ready(tmp_path: Path) -> None:
    assert all(finding.state != "fail" for finding in doctor.findings(settings(tmp_path)))


def test_a_data_folder_without_drives_is_a_failure_that_names_the_variable(tmp_path: Path) -> None:
    finding = doctor.driving(settings(tmp_path, FUSEGPT_DATA=str(tmp_path)))
    assert finding.state == "fail"
    assert "FUSEGPT_DATA" in finding.message


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
