"""A job whose trials no host can take any more says so, goes on when the host is back, and fails when it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from job_factory import job

from service.jobs import dispatcher as dispatching
from service.jobs.dispatcher import Dispatcher
from service.jobs.job import Job
from service.jobs.memory import MemoryJobStore
from service.jobs.place import placed, without_place
from service.jobs.queue import Capacity, capacity_of
from service.jobs.runner import Life

START = datetime(2026, 3, 2, 14, 2, tzinfo=UTC)
LARGE, SMALL = {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}
LACK = "needs 2 GPU a worker; the largest host that is up has 1, since 14:02 UTC"


class Cluster:
    """A cluster whose hosts come and go, and on which every process lives for ever."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.nodes, self.started = nodes, list[Job]()

    def capacity(self) -> Capacity:
        return capacity_of(self.nodes)

    def start(self, job: Job) -> None:
        self.started.append(job)

    def life(self, _job: Job) -> Life:
        return "alive"

    def kill(self, job: Job) -> None:
        raise AssertionError(job)

    def read_log(self, _job: Job, _offset: int, _limit: int = 0) -> bytes:
        return b""


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = START
        monkeypatch.setattr(dispatching, "now", lambda: self.time)

    def passes(self, **delta: float) -> None:
        self.time += timedelta(**delta)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def asked(name: str = "large", **resources: float) -> Job:
    spec = {"experiment": "fusion_waypoints", "resources": resources or {"gpus_per_worker": 2}}
    return job(name, spec=spec, cpus=1, gpus=2)


def dispatcher(store: MemoryJobStore, cluster: Cluster) -> Dispatcher:
    return Dispatcher(store, cluster, place_patience_s=3600)


def test_a_job_that_no_host_can_take_says_why_since_when_and_says_it_once(clock: Clock) -> None:
    store, cluster = MemoryJobStore(), Cluster(SMALL, SMALL)
    waits = store.submit(asked())
    for _ in range(3):
        dispatcher(store, cluster).turn()  # a new one each time, as after a restart of the API
        clock.passes(minutes=10)
    kept = store.get(waits.id)
    assert (kept.state, kept.reason, kept.attempts) == ("queued", LACK, 0)
    assert len(store.events(waits.id)) == 2


def test_it_starts_when_the_host_is_back_and_waits_anew_when_it_is_lost_again(clock: Clock) -> None:
    store, cluster = MemoryJobStore(), Cluster(SMALL)
    waits = store.submit(asked())
    dispatcher(store, cluster).turn()
    cluster.nodes = (SMALL, LARGE)
    clock.passes(minutes=59)
    dispatcher(store, cluster).turn()
    started = store.get(waits.id)
    assert (started.state, started.reason, started.no_place_since) == ("starting", "", None)
    store.update(started, state="queued")
    cluster.nodes = (SMALL,)
    dispatcher(store, cluster).turn()
    assert store.get(waits.id).reason == LACK.replace("14:02", "15:01")


def test_at_the_end_of_its_patience_it_fails_with_that_sentence(clock: Clock) -> None:
    store, cluster = MemoryJobStore(), Cluster(SMALL)
    waits = store.submit(asked())
    dispatcher(store, cluster).turn()
    clock.passes(minutes=59)
    dispatcher(store, cluster).turn()
    assert store.get(waits.id).state == "queued"
    clock.passes(minutes=2)
    dispatcher(store, cluster).turn()
    failed = store.get(waits.id)
    assert (failed.state, failed.failure) == ("failed", "place")
    assert failed.reason == f"the cluster has no place for a trial: {LACK}; resume it when that host is back"
    resumed = store.update(failed, state="queued", reason="", failure="")
    clock.passes(days=2)
    dispatcher(store, cluster).turn()
    assert store.get(resumed.id).state == "queued", "its patience begins anew"


def test_without_a_limit_it_waits_for_ever_and_names_the_day() -> None:
    waits = asked().model_copy(update={"no_place_since": START})
    changes = without_place(waits, "lacks", 0.0, START.replace(year=2027))
    assert changes == {"reason": "lacks, since 2026-03-02 14:02 UTC", "no_place_since": START}


def test_a_job_without_a_place_holds_up_nobody() -> None:
    store, cluster = MemoryJobStore(), Cluster(SMALL)
    store.submit(asked())
    store.submit(asked("small", gpus_per_worker=1))
    dispatcher(store, cluster).turn()
    assert [job.name for job in cluster.started] == ["small"]


def test_a_job_holds_what_it_would_take_of_the_cluster_that_is_there_now() -> None:
    """One that was admitted to eight CPUs starts on the two that are left, and a trial that may shrink has shrunk."""
    wide = asked("wide", cpus_per_worker=1).model_copy(update={"cpus": 8.0, "gpus": 0.0})
    shrinks = asked("shrinks", workers_per_trial=4, min_workers=2)
    there, lack = placed([wide, shrinks], Capacity(2))
    assert [(job.cpus, job.gpus) for job in there] == [(2, 0), (2, 0)]
    assert lack == {}


def test_a_job_whose_spec_is_wrong_by_now_is_left_to_its_own_process() -> None:
    wrong = [job(spec={"experiment": "gone"}, cpus=3), job(spec={})]
    assert placed(wrong, Capacity(2)) == (wrong, {})
