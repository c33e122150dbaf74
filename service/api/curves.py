"""The route of a job's learning curves: the search's metric of every trial, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter

from service.api.access import Viewer
from service.api.jobs import Id
from service.api.problems import problems
from service.api.services import Use
from service.api.wire import Curve
from service.jobs.job import Event
from service.jobs.store import JobStore

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("/{job}/curves", responses=problems(404))
def curves(job: Id, use: Use, _: Viewer) -> list[Curve]:
    """The learning curve of every trial that has begun, by number."""
    metric, drawn = "", dict[str, Curve]()
    for event in _events(use.store, use.store.get(job).id):
        metric = event.data.get("metric", metric) if event.kind == "search_started" else metric
        if event.trial:
            _add(drawn, event, metric)
    return sorted(drawn.values(), key=lambda curve: (curve.number, curve.trial))


def _add(drawn: dict[str, Curve], event: Event, metric: str) -> None:
    """An epoch that is told again, after a trial was taken up from its checkpoint, replaces what was told first."""
    told = event.data
    before = drawn.get(event.trial)
    points = dict(zip(before.epochs, before.values, strict=True)) if before else {}
    if told["epoch"] and metric in told["metrics"]:
        points[told["epoch"]] = told["metrics"][metric]
    epochs = sorted(points)
    drawn[event.trial] = Curve(
        trial=event.trial,
        number=told["number"],
        state=told["state"],
        epochs=epochs,
        values=[points[epoch] for epoch in epochs],
    )


def _events(store: JobStore, job_id: str) -> Iterator[Event]:
    after = 0
    while events := store.events(job_id, after):
        yield from events
        after = events[-1].sequence
