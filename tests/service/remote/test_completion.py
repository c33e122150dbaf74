"""What the shell completes, in both modes, and quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from job_modes import Fusegpt

import experiments
from service import options
from service.cli import app
from service.commands import completion
from service.jobs.job import Job
from service.jobs.store import JobStore

UNTOLD = {"state": "running", "drawn": {}, "epoch": 0, "metrics": {}, "best": None, "seconds": 0.0, "error": ""}


def test_experiments_are_completed() -> None:
    assert completion.experiments("") == experiments.names()
    assert completion.experiments("fusion") == ["fusion_waypoints"]


def test_jobs_are_completed(fusegpt: Fusegpt, job: Job) -> None:
    del fusegpt
    assert completion.jobs("ni") == [job.name]
    assert completion.jobs("x") == []


def test_trials_are_completed_behind_their_job(fusegpt: Fusegpt, job: Job, store: JobStore) -> None:
    del fusegpt
    for number in (0, 1, 12):
        store.append(job.id, "trial_started", {"number": number, **UNTOLD}, f"trial_{number:05d}")
    assert completion.trials("night") == ["0", "1", "12"]
    assert completion.trials("evening") == []
    assert options.complete_names("night/1") == ["night/1", "night/12"]
    assert options.complete_names("ni") == ["night"]
    verb = typer.main.get_command(app).commands["cancel"]  # type: ignore[attr-defined]
    context = verb.make_context("cancel", ["night"], resilient_parsing=True)
    assert options.complete_trials(context, "1") == ["1", "12"]


def test_nothing_is_said_where_jobs_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEGPT_ADDRESS", "http://127.0.0.1:9")
    assert completion.jobs("") == []


def test_the_shell_need_not_wait_for_pytorch() -> None:
    code = (
        "import sys\n"
        "from service.commands import completion\n"
        "completion.experiments(''), completion.jobs('')\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
