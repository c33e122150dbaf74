"""Jobs as drivers of a Ray cluster, through Ray's own job submission: the same promises as on one machine."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_factory import job
from ray_head import until_it_takes_drivers

import experiments
from service.cluster import probe_job
from service.cluster.dashboard import Dashboard
from service.cluster.job_runner import RayJobRunner
from service.cluster.local_ray import _environment, _head
from service.cluster.probe import NotMeasured
from service.jobs.dispatcher import Dispatcher
from service.jobs.job import Job
from service.jobs.state import JobState
from service.jobs.store import JobStore, amend, open_store
from service.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.slow]
STANDIN = Path(__file__).parent / "standin_worker.py"


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """A head with a dashboard, that asks for a token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with _environment(token), _head(serve=False, dashboard=True, cpus=2) as started:
        told = {
            "RAY_ADDRESS": started["address"],
            "RAY_API_SERVER_ADDRESS": started["dashboard_url"],
            "RAY_AUTH_TOKEN": token["RAY_AUTH_TOKEN"],
        }
        until_it_takes_drivers(Settings.read(told))
        yield told


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that answers late is asked again by whoever needs it; a test asks once."""
    monkeypatch.setattr("service.cluster.dashboard.TIMEOUT_S", 60.0)


@pytest.fixture
def settings(tmp_path: Path, cluster: dict[str, str]) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(tmp_path / "a home"), **cluster})


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    opened = open_store(settings.store_url)
    yield opened
    opened.close()


def runner(settings: Settings, how: str = "") -> RayJobRunner:
    return RayJobRunner(settings, command=("env", f"FUSEGPT_TEST_SEARCH={how}", sys.executable, str(STANDIN)))


def until(store: JobStore, dispatcher: Dispatcher, asked: Job, *states: JobState) -> Job:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        dispatcher.turn()
        present = store.get(asked.id)
        if present.state in states:
            return present
        time.sleep(0.1)
    raise AssertionError(f"{present.state}: {present.reason}")


def gone(driver: RayJobRunner, asked: Job) -> bool:
    deadline = time.monotonic() + 60
    while driver.life(asked) != "gone" and time.monotonic() < deadline:
        time.sleep(0.1)
    return driver.life(asked) == "gone"


def test_the_cluster_is_what_its_nodes_have(settings: Settings) -> None:
    capacity = runner(settings).capacity()
    assert (capacity.cpus, capacity.gpus, len(capacity.nodes)) == (2.0, 0.0, 1)


def test_a_job_runs_on_the_cluster_and_its_log_tells_how(settings: Settings, store: JobStore) -> None:
    asked = store.submit(job("straight"))
    ended = until(store, Dispatcher(store, runner(settings)), asked, "succeeded", "failed")
    assert (ended.state, ended.reason, ended.attempts) == ("succeeded", "", 1)
    assert b"searching straight, resume=False" in runner(settings).read_log(ended, 0)
    assert gone(runner(settings), ended)


def test_a_driver_is_found_again_paused_and_goes_on(settings: Settings, store: JobStore) -> None:
    endless, asked = runner(settings, "endless"), store.submit(job("restful"))
    running = until(store, Dispatcher(store, endless), asked, "running")
    another = Dispatcher(store, runner(settings))  # as after a restart of the API
    amend(store, asked.id, lambda _: {"state": "pausing"})
    until(store, another, asked, "paused")
    assert gone(endless, running)
    amend(store, asked.id, lambda _: {"state": "queued"})
    ended = until(store, another, asked, "succeeded", "failed")
    assert (ended.state, ended.attempts, ended.retries) == ("succeeded", 2, 0)


def test_a_driver_that_was_killed_is_tried_again(settings: Settings, store: JobStore) -> None:
    dispatcher, asked = Dispatcher(store, runner(settings, "endless")), store.submit(job("unlucky"))
    running = until(store, dispatcher, asked, "running")
    assert running.handle is not None
    os.kill(running.handle.pid, 9)
    ended = until(store, Dispatcher(store, runner(settings)), asked, "succeeded", "failed")
    assert (ended.state, ended.attempts, ended.retries) == ("succeeded", 2, 1)


def test_a_driver_that_hears_nothing_is_ended(settings: Settings, store: JobStore) -> None:
    deaf, asked = runner(settings, "deaf"), store.submit(job("deaf"))
    dispatcher = Dispatcher(store, deaf, patience_s=1.0)
    running = until(store, dispatcher, asked, "running")
    amend(store, asked.id, lambda _: {"state": "stopping"})
    assert until(store, dispatcher, asked, "stopped", "failed").state == "stopped"
    assert gone(deaf, running)


def test_an_interpreter_that_is_not_there_is_told_by_the_log(settings: Settings, store: JobStore) -> None:
    lost, asked = RayJobRunner(settings, command=("no-such-python",)), store.submit(job("unstarted"))
    dispatcher = Dispatcher(store, lost)
    deadline = time.monotonic() + 200
    while store.get(asked.id).retries == 0 and time.monotonic() < deadline:
        dispatcher.turn()
        time.sleep(0.2)
    assert b"no-such-python" in lost.read_log(store.get(asked.id), 0)


def test_a_probe_runs_where_a_worker_would_and_lets_go(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_job, "PLACED_S", 200.0)  # its place is free; a busy machine is slow to start it
    models = [experiments.load("row_classifier").override({"model.n_embd": width}) for width in (8, 16)]
    command = (sys.executable, "-m", "service.cluster.probe")
    told = probe_job.probe_on_cluster(models, settings, limit_s=200, command=command)
    assert [took.device for took in told] == ["cpu", "cpu"]
    assert all(took.step_s > 0 and 0.05 < took.peak_gb < 10 for took in told)
    assert nothing_is_reserved(settings)


def test_a_probe_that_finds_no_place_in_time_leaves_no_reservation(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_job, "PLACED_S", 2.0)
    seen, holder = Dashboard(settings), f"holder-{secrets.token_hex(4)}"
    seen.submit(holder, "exec sleep 3600", {}, cpus=2)
    while (held := seen.state(holder)) == "PENDING":
        time.sleep(0.1)
    assert held == "RUNNING"
    with pytest.raises(NotMeasured, match="no worker's place"):
        probe_job.probe_on_cluster([experiments.load("row_classifier")], settings)
    seen.stop(holder)
    assert nothing_is_reserved(settings)


def nothing_is_reserved(settings: Settings) -> bool:
    """Whether every CPU of the cluster is free within seconds, and nobody waits for one; its head tells it late."""
    dashboard, deadline = Dashboard(settings), time.monotonic() + 60
    while time.monotonic() < deadline:
        told = dashboard._read(dashboard._ask("GET", "/api/cluster_status"))
        load = told["data"]["clusterStatus"]["loadMetricsReport"]
        if load["usage"]["CPU"][0] == 0 and not load["resourceDemand"]:
            return True
        time.sleep(0.3)
    return False
