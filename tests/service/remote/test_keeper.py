"""Without a server, somebody looks after the queue until nothing is left in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from job_modes import FakeRunner
from patience import PATIENCE_S, wait_for

from service.jobs.dispatcher import Dispatcher
from service.jobs.job import Job, now
from service.jobs.store import JobStore
from service.keeper import keep
from service.settings import Settings


def queued(store: JobStore, name: str) -> Job:
    return store.submit(Job(id=name, name=name, experiment="norms", spec={}, cpus=2, created=now()))


@pytest.fixture
def work(settings: Settings, store: JobStore, tmp_path: Path) -> Callable[[], threading.Thread]:
    """Starts a keeper."""

    def start() -> threading.Thread:
        dispatcher = Dispatcher(store, FakeRunner(settings))
        thread = threading.Thread(target=keep, args=(store, dispatcher, tmp_path / "lock", 0.01))
        thread.start()
        return thread

    return start


def test_what_waits_starts_when_its_turn_comes_and_the_keeper_ends_with_the_last(
    work: Callable[[], threading.Thread], store: JobStore
) -> None:
    queued(store, "first"), queued(store, "second")
    keeper = work()
    wait_for(lambda: store.get("first").state == "running" and "held by first" in store.get("second").reason)
    store.update(store.get("first"), state="succeeded")
    wait_for(lambda: store.get("second").state == "running")
    store.update(store.get("second"), state="succeeded")
    keeper.join(PATIENCE_S)
    assert not keeper.is_alive()


def test_a_second_keeper_leaves_the_work_to_the_first(work: Callable[[], threading.Thread], store: JobStore) -> None:
    queued(store, "first")
    keeper = work()
    wait_for(lambda: store.get("first").state == "running")
    second = work()
    second.join(PATIENCE_S)
    assert not second.is_alive()
    assert keeper.is_alive()
    store.update(store.get("first"), state="succeeded")
    keeper.join(PATIENCE_S)


def test_a_keeper_with_nothing_to_do_ends(work: Callable[[], threading.Thread]) -> None:
    keeper = work()
    keeper.join(PATIENCE_S)
    assert not keeper.is_alive()
