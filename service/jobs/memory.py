"""`MemoryJobStore`: jobs in this process, gone with it."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from service.errors import NotFound
from service.jobs.job import Event, EventKind, Job, now
from service.jobs.state import JobState
from service.jobs.store import changed, first_version, key_reused, name_taken, overtaken


class MemoryJobStore:
    """Implements JobStore. Every method holds one lock."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.RLock()

    def submit(self, job: Job) -> Job:
        with self._lock:
            kept, earlier = first_version(job, len(self._jobs) + 1), self._keyed(job)
            if earlier is not None:
                if earlier.request != kept.request:
                    raise key_reused(job)
                return earlier
            if any(known.name == job.name for known in self._jobs.values()):
                raise name_taken(job.name)
            self._jobs[job.id], self._events[job.id] = kept, []
            self.append(job.id, "state", {"from": "", "to": job.state, "reason": job.reason})
            return kept

    def get(self, id_or_name: str) -> Job:
        with self._lock:
            found = self._jobs.get(id_or_name) or self._named(id_or_name)
        if found is None:
            raise NotFound(f"there is no job {id_or_name!r}")
        return found

    def jobs(
        self, states: Collection[JobState] = (), experiment: str = "", before: int = 0, limit: int = 100
    ) -> list[Job]:
        with self._lock:
            newest = sorted(self._jobs.values(), key=lambda job: -job.number)
        wanted = (
            job
            for job in newest
            if (not states or job.state in states)
            and (not experiment or job.experiment == experiment)
            and (not before or job.number < before)
        )
        return [job for job, _ in zip(wanted, range(limit), strict=False)]

    def update(self, job: Job, **changes: Any) -> Job:
        after, lines = changed(job, changes)
        with self._lock:
            if self.get(job.id).version != job.version:
                raise overtaken(job)
            self._jobs[job.id] = after
            for kind, data in lines:
                self.append(job.id, kind, data)
        return after

    def append(self, job_id: str, kind: EventKind, data: dict[str, Any], trial: str = "") -> Event:
        with self._lock:
            log = self._events[self.get(job_id).id]
            event = Event(job=job_id, sequence=len(log) + 1, time=now(), kind=kind, trial=trial, data=data)
            log.append(event)
        return event

    def events(self, job_id: str, after: int = 0, trial: str = "", limit: int = 1000) -> list[Event]:
        with self._lock:
            log = self._events[self.get(job_id).id][after:]
        return [event for event in log if not trial or event.trial == trial][:limit]

    def newest(self, job_id: str, kind: EventKind) -> Event | None:
        with self._lock:
            log = self._events[self.get(job_id).id]
            return next((event for event in reversed(log) if event.kind == kind), None)

    def trials(self, job_id: str) -> list[Event]:
        with self._lock:
            newest = {event.trial: event for event in self._events[self.get(job_id).id] if event.trial}
        return [newest[trial] for trial in sorted(newest)]

    def close(self) -> None:
        """Nothing to let go of."""

    def _named(self, name: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.name == name), None)

    def _keyed(self, job: Job) -> Job | None:
        if not job.idempotency_key:
            return None
        whose = (job.owner, job.idempotency_key)
        return next((known for known in self._jobs.values() if (known.owner, known.idempotency_key) == whose), None)
