"""`Journal`: an observer that writes what happens in a search into its job's log."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import Any

from service.errors import ClusterUnreachable
from service.events import Search, Trial
from service.jobs.job import EventKind
from service.jobs.store import JobStore

log = logging.getLogger(__name__)


class Journal:
    """Implements service.events.Observer. While the store is away lines wait here, and are written with the next."""

    def __init__(self, store: JobStore, job_id: str) -> None:
        self._store, self._job_id = store, job_id
        self._waiting: deque[tuple[EventKind, dict[str, Any], str]] = deque()

    def search_started(self, search: Search) -> None:
        experiment = search.experiment
        self._write(
            "search_started", {"metric": search.metric, "mode": search.mode, "trials": experiment.search.trials}
        )

    def trial_started(self, trial: Trial) -> None:
        self._write("trial_started", line(trial), trial.id)

    def trial_reported(self, trial: Trial) -> None:
        self._write("trial_reported", line(trial), trial.id)

    def trial_ended(self, trial: Trial) -> None:
        self._write("trial_ended", line(trial), trial.id)

    def search_ended(self, _search: Search, trials: list[Trial]) -> None:
        """Also writes what the log of an earlier attempt has missed: the records on disk are never behind."""
        try:
            told = {event.trial: event.data for event in self._store.trials(self._job_id)}
        except ClusterUnreachable:
            told = {}
        for trial in trials:
            if told.get(trial.id) != line(trial):
                self._write("trial_ended" if trial.state != "running" else "trial_reported", line(trial), trial.id)
        states = [trial.state for trial in trials]
        self._write("search_ended", {state: states.count(state) for state in sorted(set(states))})

    def _write(self, kind: EventKind, data: dict[str, Any], trial: str = "") -> None:
        self._waiting.append((kind, data, trial))
        try:
            while self._waiting:
                self._store.append(self._job_id, *self._waiting[0])
                self._waiting.popleft()
        except Exception as error:  # an observer must not raise, whatever happens to the store
            log.warning("the job's log waits with %d lines: %s", len(self._waiting), error)


def line(trial: Trial) -> dict[str, Any]:
    """A trial as the log tells it, in JSON's values: a figure that is no number becomes null."""
    return {
        "number": trial.number,
        "state": trial.state,
        "drawn": dict(trial.drawn),
        "epoch": trial.epoch,
        "metrics": {name: finite(value) for name, value in trial.metrics.items()},
        "best": finite(trial.best),
        "seconds": round(trial.seconds, 3),
        "error": trial.error,
    }


def progress_of(store: JobStore, job_id: str) -> int:
    """How far the trials of a job have come, as its log has it: all their epochs, and those that have ended."""
    told = [event.data for event in store.trials(job_id)]
    return sum(data["epoch"] + (data["state"] != "running") for data in told)


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
