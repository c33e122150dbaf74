"""What every JobStore promises: one suite over memory, SQLite and a real PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.errors import NotFound
from service.jobs.job import Handle, Job, now
from service.jobs.memory import MemoryJobStore
from service.jobs.state import IllegalMoveError
from service.jobs.store import Conflict, JobStore, open_store

Open = Callable[[], JobStore]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the store, as another process would: the same content, a connection of its own."""
    stores: list[JobStore] = []
    memory = MemoryJobStore()

    def another() -> JobStore:
        if request.param == "memory":
            return memory
        sqlite = f"sqlite:///{tmp_path / 'jobs.db'}"
        stores.append(open_store(sqlite if request.param == "sqlite" else _fresh(request, tmp_path)))
        return stores[-1]

    yield another
    for store in stores:
        store.close()


def _fresh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of this test alone, in the session's server."""
    import psycopg
    from psycopg import sql

    url = request.getfixturevalue("postgres")
    name = "test_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return str(url.replace("/postgres?", f"/{name}?"))


@pytest.fixture
def store(opened: Open) -> JobStore:
    return opened()


def job(name: str = "", **changes: object) -> Job:
    identifier = secrets.token_hex(6)
    fields = {"id": identifier, "name": name or f"job-{identifier}", "experiment": "tiny", "created": now()}
    return Job.model_validate({**fields, "spec": {"experiment": "tiny"}, **changes})


def test_a_job_comes_back_as_it_was_submitted(store: JobStore) -> None:
    asked = job("first", priority=3, owner="ann", spec={"experiment": "tiny", "set": {"a.b": [1, 2.5, "ü\x00"]}})
    kept = store.submit(asked)
    assert kept == asked.model_copy(update={"number": kept.number, "version": 1, "request": kept.request})
    assert store.get(asked.id) == store.get("first") == kept


def test_a_job_that_is_not_there_is_named(store: JobStore) -> None:
    newest, append = (lambda name: store.newest(name, "changed")), (lambda name: store.append(name, "changed", {}))
    for ask in (store.get, store.events, store.trials, newest, append):
        with pytest.raises(NotFound, match="nowhere"):
            ask("nowhere")


def test_a_name_is_taken_once(store: JobStore) -> None:
    store.submit(job("twin"))
    with pytest.raises(Conflict, match="twin"):
        store.submit(job("twin"))


def test_the_same_key_is_the_same_job(store: JobStore) -> None:
    first = store.submit(job(owner="ann", idempotency_key="k"))
    first = store.update(first, priority=7)
    assert store.submit(job(owner="ann", idempotency_key="k")) == first
    assert store.submit(job(owner="bob", idempotency_key="k")) != first
    with pytest.raises(Conflict, match="Idempotency-Key"):
        store.submit(job(owner="ann", idempotency_key="k", priority=1))
    assert len(store.jobs()) == 2


def test_jobs_are_listed_newest_first_and_page_by_page(store: JobStore) -> None:
    kept = [store.submit(job(experiment="odd" if number % 2 else "even")) for number in range(5)]
    assert [found.id for found in store.jobs()] == [each.id for each in reversed(kept)]
    page = store.jobs(limit=2)
    assert [found.id for found in store.jobs(before=page[-1].number, limit=2)] == [kept[2].id, kept[1].id]
    assert [found.id for found in store.jobs(experiment="odd")] == [kept[3].id, kept[1].id]
    store.update(kept[0], state="stopped")
    assert [found.id for found in store.jobs(states=["stopped", "failed"])] == [kept[0].id]


def test_a_change_is_seen_by_everybody(opened: Open) -> None:
    one, other = opened(), opened()
    kept = one.submit(job())
    handle = Handle(host="here", pid=7, began=1.5)
    after = one.update(kept, state="starting", attempts=1, handle=handle)
    assert other.get(kept.id) == after
    assert (after.state, after.attempts, after.handle, after.version) == ("starting", 1, handle, 2)


def test_of_two_who_change_the_same_version_one_is_told(opened: Open) -> None:
    one, other = opened(), opened()
    seen = one.submit(job())
    one.update(seen, state="starting")
    with pytest.raises(Conflict, match=seen.name):
        other.update(seen, state="starting")
    assert [event.data["to"] for event in one.events(seen.id)] == ["queued", "starting"]


def test_of_many_who_start_a_job_at_once_one_does(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    for _ in range(3):
        seen, won = stores[0].submit(job()), []
        gate = threading.Barrier(len(stores))

        def start(store: JobStore, seen: Job = seen, won: list[Job] = won, gate: threading.Barrier = gate) -> None:
            gate.wait()
            with suppress(Conflict):
                won.append(store.update(seen, state="starting"))

        _together([lambda store=store: start(store) for store in stores])  # type: ignore[misc]
        assert len(won) == 1


def test_an_illegal_move_changes_nothing(store: JobStore) -> None:
    kept = store.submit(job())
    with pytest.raises(IllegalMoveError, match="queued cannot become succeeded"):
        store.update(kept, state="succeeded")
    assert store.get(kept.id) == kept
    assert len(store.events(kept.id)) == 1


def test_the_end_of_a_job_is_dated_and_undone_only_by_the_queue(opened: Open) -> None:
    one, other = opened(), opened()
    ended = one.update(one.submit(job()), state="stopped", reason="nobody wants it")
    assert ended.final
    assert ended.ended is not None
    with pytest.raises(IllegalMoveError, match="stopped cannot become running; it can become queued"):
        one.update(ended, state="running")
    again = one.update(ended, state="queued", reason="extended by ann: search.trials 8")
    assert other.get(ended.id) == again
    assert (again.final, again.ended) == (False, None)
    said = {"from": "stopped", "to": "queued", "reason": "extended by ann: search.trials 8"}
    assert other.events(ended.id)[-1].data == said
    assert other.update(again, state="stopped").ended is not None


def test_the_newest_line_of_a_kind_is_found(store: JobStore) -> None:
    kept = store.submit(job())
    assert store.newest(kept.id, "search_started") is None
    for trials in (4, 8):
        store.append(kept.id, "search_started", {"trials": trials})
        store.append(kept.id, "trial_reported", {"epoch": 1}, trial="trial_00000")
    found = store.newest(kept.id, "search_started")
    assert found is not None
    assert found.data == {"trials": 8}


def test_a_log_is_numbered_without_gaps_whoever_writes(opened: Open) -> None:
    stores = [opened() for _ in range(3)]
    kept = stores[0].submit(job())

    def write(store: JobStore) -> None:
        for number in range(8):
            store.append(kept.id, "trial_reported", {"epoch": number}, trial="trial_00001")

    _together([lambda store=store: write(store) for store in stores])  # type: ignore[misc]
    log = stores[0].events(kept.id)
    assert [event.sequence for event in log] == list(range(1, 26))
    assert stores[1].events(kept.id, after=20, limit=3) == log[20:23]
    assert stores[1].events(kept.id, after=25) == []


def test_a_trial_has_its_own_log_and_its_newest_line(store: JobStore) -> None:
    kept = store.submit(job())
    for trial, epoch in (("trial_00001", 1), ("trial_00000", 1), ("trial_00001", 2)):
        store.append(kept.id, "trial_reported", {"epoch": epoch, "name": "ü\x00"}, trial=trial)
    assert [event.data["epoch"] for event in store.events(kept.id, trial="trial_00001")] == [1, 2]
    assert [(event.trial, event.data["epoch"]) for event in store.trials(kept.id)] == [
        ("trial_00000", 1),
        ("trial_00001", 2),
    ]


def test_what_people_see_is_logged_and_what_they_do_not_is_not(store: JobStore) -> None:
    kept = store.submit(job())
    kept = store.update(kept, priority=5, reason="waits")
    store.update(kept, retries=1, reason="waits")
    assert [event.data for event in store.events(kept.id, after=1)] == [{"priority": 5, "reason": "waits"}]


def _together(works: list[Callable[[], None]]) -> None:
    failed: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
