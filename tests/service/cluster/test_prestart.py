"""The process that a trial gets is there, with its imports done, before Ray Tune asks for it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from ray_head import until_it_takes_drivers

from fusegpt.experiment import Resources
from service.cluster.job_runner import RayJobRunner
from service.cluster.local_ray import _head, connect
from service.cluster.prestart import WARM, prestart
from service.jobs.job import Job, now
from service.settings import Settings

PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that a busy raylet answers late is no reason to do without: only the tests have to know."""
    monkeypatch.setattr("service.cluster.prestart.ASK_S", PATIENCE_S)
    monkeypatch.setattr("service.cluster.dashboard.TIMEOUT_S", PATIENCE_S)


def processes() -> set[int]:
    """Those that a Ray of this process started for a driver which asked for WARM."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(OSError):
            if os.fsencode(WARM) in Path(f"/proc/{process.pid}/environ").read_bytes():
                found.add(process.pid)
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
        ahead = until(processes)
        actor: Any = _ActorClassCache().get(Caller).options(num_cpus=1).remote()
        pid, warm = ray.get(actor.who.remote())
        assert {pid} == ahead == processes()
        assert warm


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A head with a dashboard that asks for a token, which this process has."""
    from ray._raylet import AuthenticationTokenLoader, Config

    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in token.items():
        monkeypatch.setenv(name, value)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    with _head(serve=False, dashboard=True, cpus=1) as started:
        told = {**token, "RAY_ADDRESS": started["address"], "RAY_API_SERVER_ADDRESS": started["dashboard_url"]}
        until_it_takes_drivers(Settings.read(told))
        yield told


@pytest.mark.ray
@pytest.mark.slow
def test_a_submitted_driver_finds_the_process_of_its_first_trial_there_and_starts_no_other(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), **cluster})
    driver = RayJobRunner(settings, command=(sys.executable, str(Path(__file__).parent / "standin_driver.py")))
    spec = {"experiment": "row_classifier", "search": {"trials": 4}}
    job = Job(id="a", name="a", experiment="row_classifier", spec=spec, state="starting", attempts=1, created=now())
    driver.start(job)
    ahead = until(processes)
    told = tmp_path / "told.json"
    assert until(told.exists), "see the driver's log"
    was_told, pid, warm = json.loads(told.read_text())
    assert was_told
    assert {pid} == ahead == processes()
    assert warm
    told.unlink()


T = TypeVar("T")


def until(look: Callable[[], T]) -> T:
    """What there is to see, as soon as there is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return seen


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
