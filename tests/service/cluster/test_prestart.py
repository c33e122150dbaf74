"""The process that a trial gets is there, with its imports done, before Ray Tune asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fusegpt.experiment import Resources
from service.cluster.local_ray import connect
from service.cluster.prestart import WARM, prestart
from service.settings import Settings


def processes() -> set[int]:
    """Those that Ray started for a driver which asked for WARM."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(WARM) in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.ray
def test_an_actor_of_tune_gets_the_process_that_was_started_ahead_and_no_other_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray import cloudpickle
    from ray.tune.execution.class_cache import _ActorClassCache

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "größer/+")

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with connect(Settings(home=tmp_path, tracking_uri=""), cpus=1, first=WARM):
        prestart(Resources(), trials=3)
        deadline = time.monotonic() + 60
        while not (ahead := processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        actor: Any = _ActorClassCache().get(Caller).options(num_cpus=1).remote()
        pid, warm = ray.get(actor.who.remote())
        assert {pid} == ahead == processes()
        assert warm


class Caller:
    def who(self) -> tuple[int, bool]:
        return os.getpid(), "fusegpt.training.loop" in sys.modules


def test_what_a_trial_needs_beforehand_brings_in_no_tracking_and_no_service() -> None:
    heavy = ("mlflow", "sqlalchemy", "fastapi", "matplotlib", "optuna", "timm", "torchvision", "sklearn")
    code = (
        "import sys\nfrom service.cluster.prestart import warm\nwarm()\nassert 'torch' in sys.modules\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_ray_that_cannot_start_one_ahead_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    node = {"Alive": True, "Resources": {"CPU": 4.0}, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 1}
    monkeypatch.setattr(ray, "nodes", lambda: [node])
    with caplog.at_level("DEBUG", "fusegpt.cluster"):
        prestart(Resources(), trials=1)
    assert "no process was started ahead" in caplog.text
