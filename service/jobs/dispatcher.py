"""`Dispatcher`: starts what is queued, notices what was lost, and ends what does not listen. One turn at a time.

Several of them may work on one store: each step is a compare-and-set, and who comes second leaves it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from typing import Any

from service.errors import ClusterUnreachable, ServiceError, sentence
from service.jobs.job import Job, now
from service.jobs.journal import progress_of
from service.jobs.place import placed, without_place
from service.jobs.queue import Turn, take_turn
from service.jobs.retry import Failure
from service.jobs.runner import JobRunner
from service.jobs.state import ACTIVE
from service.jobs.store import Conflict, JobStore
from service.jobs.worker import failed

log = logging.getLogger(__name__)

TURN_S = 0.5
PATIENCE_S = 150.0  # how long a job may take to pause or stop (its trials have 120 s) before its process is ended
MANY = 1000


class Dispatcher:
    """Over one store and one runner.

    jobs:             how many may run at once; 0 sets no limit but what the machine has.
    patience_s:       how long one may take to pause or to stop.
    place_patience_s: how long one waits for a place that no host which is up has; 0 sets no limit.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        jobs: int = 0,
        patience_s: float = PATIENCE_S,
        place_patience_s: float = 0.0,
    ) -> None:
        self._store, self._runner, self._jobs, self._patience_s = store, runner, jobs, patience_s
        self._place_patience_s = place_patience_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._turns, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Take turns in a thread of its own until `close`. Jobs go on without it."""
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def turn(self) -> None:
        """Look after what runs, then start what fits, and tell the others why they wait."""
        for job in self._store.jobs(states=ACTIVE, limit=MANY):
            with contextlib.suppress(Conflict):
                self._look_after(job)
        active = self._store.jobs(states=ACTIVE, limit=MANY)
        queued = self._store.jobs(states=["queued"], limit=MANY)
        turn = self._decide(queued, active)
        for job in turn.start:
            with contextlib.suppress(Conflict):
                self._start(job)
        for job in queued:
            with contextlib.suppress(Conflict):
                self._tell(job, turn)

    def _decide(self, queued: list[Job], active: list[Job]) -> Turn:
        try:
            capacity = self._runner.capacity()
        except ClusterUnreachable as error:
            return Turn(waits={job.id: sentence(error) for job in queued})
        there, lack = placed(queued, capacity)
        turn = take_turn(there, active, capacity, self._jobs, now())
        return replace(turn, lack=lack)

    def _tell(self, job: Job, turn: Turn) -> None:
        """Keep why a job waits, where that is new."""
        changes: dict[str, Any] = {}
        if job.id in turn.lack:
            changes = without_place(job, turn.lack[job.id], self._place_patience_s, now())
        elif job.id in turn.waits:
            changes = {"reason": turn.waits[job.id], "no_place_since": None}
        if any(getattr(job, key) != value for key, value in changes.items()):
            self._store.update(job, **changes)

    def _turns(self) -> None:
        while not self._ended.wait(TURN_S):
            try:
                self.turn()
            except ServiceError as error:
                log.warning("%s", error)
            except Exception:
                log.exception("a turn of the dispatcher failed")

    def _look_after(self, job: Job) -> None:
        life = self._runner.life(job)
        if life == "gone":
            present = self._store.get(job.id)
            if present.version == job.version:  # it may have told its end between our two looks
                self._store.update(job, **self._failed(job, Failure("lost", "the job's process is gone")))
        elif life == "alive" and job.state in ("pausing", "stopping") and self._overdue(job):
            self._runner.kill(job)

    def _failed(self, job: Job, failure: Failure) -> dict[str, Any]:
        return failed(job, failure, progress_of(self._store, job.id))

    def _overdue(self, job: Job) -> bool:
        return job.moved is not None and (now() - job.moved).total_seconds() > self._patience_s

    def _start(self, job: Job) -> None:
        time = now()
        changes = {"attempts": job.attempts + 1, "started": job.started or time, "not_before": None, "handle": None}
        changes["no_place_since"] = None
        starting = self._store.update(job, state="starting", reason="", **changes)
        try:
            self._runner.start(starting)
        except ClusterUnreachable as error:
            # Should it have been taken all the same, then as an attempt that is no longer the job's: it claims nothing.
            self._store.update(starting, **self._failed(starting, Failure("unreachable", sentence(error))))
        except OSError as error:
            self._store.update(
                starting, **self._failed(starting, Failure("other", f"no process could be started: {error}"))
            )
