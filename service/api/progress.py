"""The route that says how far a job's search is: counts of its trials, and its best so far."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter

from service.api.access import Viewer
from service.api.jobs import Id
from service.api.problems import problems
from service.api.services import Use
from service.api.wire import Progress
from service.jobs.job import Event

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("/{job}/progress", responses=problems(404))
def progress(job: Id, use: Use, _: Viewer) -> Progress:
    """How far a job's search is, and its best so far."""
    identifier = use.store.get(job).id
    begun = use.store.newest(identifier, "search_started")
    search = begun.data if begun else {}
    trials = use.store.trials(identifier)
    best = _best(trials, search.get("mode", "min"))
    return Progress(
        metric=search.get("metric", ""),
        mode=search.get("mode", ""),
        planned=search.get("trials", 0),
        states=dict(sorted(Counter(trial.data["state"] for trial in trials).items())),
        best=best.data["best"] if best else None,
        trial=best.trial if best else "",
        drawn=best.data["drawn"] if best else {},
    )


def _best(trials: list[Event], mode: str) -> Event | None:
    judged = [trial for trial in trials if trial.data["best"] is not None]
    return (max if mode == "max" else min)(judged, key=lambda trial: trial.data["best"], default=None)
