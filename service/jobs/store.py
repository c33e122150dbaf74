"""`JobStore`: where jobs and what happened to them are kept. `open_store(url)` opens the one that a URL names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any, Protocol

from service.errors import Refused
from service.jobs.job import Event, EventKind, Job, now
from service.jobs.state import JobState, check_move

# What `update` writes into the log beside a change of state.
TOLD = ("priority", "spec", "reason")
# Given at submission, never changed.
FIXED = frozenset({"id", "number", "version", "name", "experiment", "owner", "idempotency_key", "request", "created"})


class Conflict(Refused):
    """Somebody else changed the job first, or its name or key is taken."""


class JobStore(Protocol):
    """Safe for several processes at once: of two that change the same version of a job, one gets Conflict.

    All methods raise ClusterUnreachable where the store does not answer, and NotFound for a job that there is not.
    """

    def submit(self, job: Job) -> Job:
        """Keep a new job. The same owner's same key returns the first job; raises Conflict where that one asked for
        something else, and where the name is taken."""
        ...

    def get(self, id_or_name: str) -> Job: ...

    def jobs(
        self, states: Collection[JobState] = (), experiment: str = "", before: int = 0, limit: int = 100
    ) -> list[Job]:
        """Newest first; `before` continues below a number. No states means all of them."""
        ...

    def update(self, job: Job, **changes: Any) -> Job:
        """Change fields of exactly this version of a job. A new state, and what people see, go into the log.

        Raises IllegalMoveError for a transition that does not exist, Conflict where the job is no longer this version.
        """
        ...

    def append(self, job_id: str, kind: EventKind, data: dict[str, Any], trial: str = "") -> Event:
        """Write one line into a job's log."""
        ...

    def events(self, job_id: str, after: int = 0, trial: str = "", limit: int = 1000) -> list[Event]:
        """A job's log from below `after` on, in order; only one trial's where `trial` names it."""
        ...

    def newest(self, job_id: str, kind: EventKind) -> Event | None:
        """The newest line of a kind; None where there is none."""
        ...

    def trials(self, job_id: str) -> list[Event]:
        """The newest line about each trial, by the trial's name."""
        ...

    def close(self) -> None: ...


def changed(job: Job, changes: dict[str, Any]) -> tuple[Job, list[tuple[EventKind, dict[str, Any]]]]:
    """The next version of a job, and what its log says of it. Every store changes jobs through this."""
    assert not FIXED & set(changes), f"{FIXED & set(changes)} of a job never change"
    lines: list[tuple[EventKind, dict[str, Any]]] = []
    dated: dict[str, Any] = {}
    state = changes.get("state", job.state)
    if state != job.state:
        check_move(job.state, state)
        dated = {"moved": now()}
        lines.append(("state", {"from": job.state, "to": state, "reason": changes.get("reason", job.reason)}))
    else:
        told = {key: changes[key] for key in TOLD if key in changes and changes[key] != getattr(job, key)}
        lines += [("changed", told)] if told else []
    after = Job.model_validate({**job.model_dump(), **dated, **changes, "version": job.version + 1})
    ended = (after.ended or dated["moved"]) if after.final else None
    return after.model_copy(update={"ended": ended}), lines


def first_version(job: Job, number: int = 0) -> Job:
    """A job as it is first kept. What was asked for is remembered, for priority and budget may change later."""
    asked = json.dumps([job.spec, job.experiment, job.priority], sort_keys=True)
    request = hashlib.sha256(asked.encode()).hexdigest()
    return job.model_copy(update={"number": number, "version": 1, "request": request})


def key_reused(job: Job) -> Conflict:
    return Conflict(f"Idempotency-Key: {job.idempotency_key!r} was used for another request; use a new key")


def name_taken(name: str) -> Conflict:
    return Conflict(f"name: there is a job {name!r} already; choose another name, or leave it out")


def overtaken(job: Job) -> Conflict:
    return Conflict(f"job {job.name} was changed by somebody else at the same moment; look at it and try again")


def amend(store: JobStore, id_or_name: str, decide: Callable[[Job], dict[str, Any]]) -> Job:
    """Change a job as it stands: where somebody else was first, `decide` looks at it again. Nothing changes nothing."""
    while True:
        job = store.get(id_or_name)
        changes = decide(job)
        if not changes:
            return job
        try:
            return store.update(job, **changes)
        except Conflict:
            continue


def open_store(url: str) -> JobStore:
    """The store at sqlite:///file or postgresql://user@host/database. Raises SettingError naming the variable."""
    from service.jobs.sql import SqlJobStore

    return SqlJobStore(url)
