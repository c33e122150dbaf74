"""The command's words: help, version, exit codes, and nothing heavy before a verb needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from service.cli import app, main
from service.data_verbs import data_app

HEAVY = ("torch", "ray", "mlflow", "timm", "matplotlib", "fastapi", "pydantic", "rich")


def names(group: typer.Typer) -> list[str]:
    """The verbs of a group, as a person writes them."""
    return [each.name or each.callback.__name__ for each in group.registered_commands if each.callback]


VERBS = names(app)


def fusegpt(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from service.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "verb",
    [*VERBS, "data", *(f"data {verb}" for verb in names(data_app))],
)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fusegpt(*verb.split(), "--help") == 0
    told = capsys.readouterr().out
    assert "Usage:" in told
    if verb != "data":
        assert f"Example: fusegpt {verb}" in told


def test_version_is_the_library_s(capsys: pytest.CaptureFixture[str]) -> None:
    from fusegpt import __version__

    assert fusegpt("--version") == 0
    assert capsys.readouterr().out.strip() == f"fusegpt {__version__}"


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert fusegpt("trian") == 2


def test_an_unknown_experiment_is_a_usage_error_that_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert fusegpt("train", "fusion_waypoint", "--dry-run") == 2
    assert "fusion_waypoints" in capsys.readouterr().err


def test_a_misspelt_setting_is_a_usage_error_that_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert fusegpt("train", "fusion_waypoints", "--set", "modle.n_head=2", "--dry-run") == 2
    assert "did you mean model" in capsys.readouterr().err


def test_help_is_there_in_a_third_of_a_second() -> None:
    """Of a machine that adds a million squares in a tenth: neither other work on it nor a slower processor decides."""
    code = (
        "import contextlib, io, time\n"
        "from service.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        "took = time.process_time()\n"
        "total = 0\n"
        "for i in range(1_000_000): total += i * i\n"
        "print(0.1 * took / (time.process_time() - took))"
    )
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(done.stdout) for done in told) < 0.3


def test_to_ask_a_server_brings_in_nothing_that_only_a_server_needs() -> None:
    code = (
        "import sys, service.commands.jobs, service.commands.job_text, service.remote\n"
        f"print([name for name in {HEAVY[:6]} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
