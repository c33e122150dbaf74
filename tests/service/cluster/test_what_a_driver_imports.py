"""What the process of a job imports before its first trial starts, which waits for it: Ray Tune, and no PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "torchvision", "mlflow", "matplotlib", "sklearn", "fastapi")
SEARCHES = """
import experiments
from service import run
from service.progress import Progress
from service.settings import Settings
from service.spec import JobSpec, resolve
for name in experiments.names():
    run.search_of(experiments.load(name), "name", Settings.read())
"""
TUNES = "from service.cluster import draws, ending, halving, suggestions, trainable, tune, watcher"


def heavy_after(code: str) -> str:
    """Which of HEAVY a process has imported that ran `code`."""
    code = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_to_claim_a_job_and_to_know_by_what_it_is_judged_brings_in_nothing_heavy() -> None:
    assert heavy_after(f"import service.jobs.worker\n{SEARCHES}") == "[]"


@pytest.mark.slow
def test_to_have_trials_started_brings_in_ray_tune_and_nothing_of_the_training() -> None:
    assert heavy_after(f"{SEARCHES}\n{TUNES}") == "[]"
