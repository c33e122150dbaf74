"""The log of a job on the cluster, read while its driver starts."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from job_factory import job

from service.cluster.dashboard import Dashboard
from service.cluster.job_runner import RayJobRunner
from service.jobs.log import log_of
from service.settings import Settings

RAY_SAID = "Runtime env is setting up.\n"


@pytest.fixture
def runner(tmp_path: Path) -> RayJobRunner:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path / "a home"), "RAY_ADDRESS": "head:6379"})
    said = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"logs": RAY_SAID}))
    return RayJobRunner(settings, Dashboard(settings, said))


def test_who_follows_a_starting_job_misses_nothing_of_its_log(runner: RayJobRunner) -> None:
    starting = job(state="starting", attempts=1)
    assert runner.read_log(starting, 0) == b""
    log = log_of(runner._settings, starting)
    log.parent.mkdir(parents=True)
    log.write_bytes(b"searching\n")
    assert runner.read_log(starting, 0) == b"searching\n"


def test_what_a_driver_said_that_never_came_to_its_log_is_ray_s_to_tell(runner: RayJobRunner) -> None:
    assert runner.read_log(job(state="failed", attempts=1), 0) == RAY_SAID.encode()
