"""`History`: what was tracked, read back from MLflow as plain rows: searches, their trials, the best of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fusegpt.config import closest
from service.errors import NotFound
from service.settings import Settings
from service.tracking.spool import in_use
from service.tracking.store import connect, database, quoted, reaching

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


ORIGIN = ("mlflow.source.git.", "fusegpt.version.")


@dataclass(frozen=True)
class SearchRow:
    """One search. `state` is running, finished, failed, or interrupted: it can be resumed by its name."""

    name: str
    experiment: str
    state: str
    metric: str
    mode: Literal["min", "max"]
    best: float | None
    best_trial: str
    trials: int
    started: datetime
    seconds: float
    error: str
    folder: Path
    run_id: str
    experiment_id: str


@dataclass(frozen=True)
class TrialRow:
    """One trial. `drawn` is what the search chose, `settings` every one as MLflow shows it, `metrics` the latest."""

    id: str
    number: int
    search: str
    state: str
    epoch: int
    best: float | None
    drawn: Mapping[str, Any]
    settings: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: float
    error: str
    folder: Path
    run_id: str


class History:
    """Raises ClusterUnreachable where MLflow does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def searches(self, experiment: str | None = None) -> list[SearchRow]:
        """The searches of one experiment, or of all, newest first."""
        return [_search(run, name) for run, name in self._runs("tags.`fusegpt.kind` = 'search'", experiment)]

    def trials(self, search: str) -> list[TrialRow]:
        """The trials of a search, in the order of their numbers. Raises NotFound where there is no such search."""
        row = self.find(search)
        wanted = f"tags.`fusegpt.kind` = 'trial' and tags.`fusegpt.search` = {quoted(search)}"
        rows = [_trial(run, row) for run, _ in self._runs(wanted, row.experiment)]
        return sorted(rows, key=lambda trial: (trial.number, trial.id))

    def find(self, name: str) -> SearchRow:
        """The search of this name. Raises NotFound, with the nearest name that there is."""
        for run, experiment in self._runs(f"tags.`fusegpt.kind` = 'search' and tags.`fusegpt.search` = {quoted(name)}"):
            return _search(run, experiment)
        known = [row.name for row in self.searches()]
        raise NotFound(f"there is no search {name!r}{closest(name, known)}")

    def origin(self, name: str) -> dict[str, str]:
        """Where a search comes from, as it was tracked: commit and versions, under their tags; empty where unknown."""
        wanted = f"tags.`fusegpt.kind` = 'search' and tags.`fusegpt.search` = {quoted(name)}"
        tags: dict[str, str] = next((run.data.tags for run, _ in self._runs(wanted)), {})
        return {key: value for key, value in tags.items() if key.startswith(ORIGIN)}

    def curve(self, trial: TrialRow, metric: str) -> list[tuple[int, float]]:
        """(epoch, value) of one metric of a trial, in order."""
        with reaching(self._settings):
            return [(point.step, point.value) for point in self._client.get_metric_history(trial.run_id, metric)]

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._settings)

    def _runs(self, wanted: str, experiment: str | None = None) -> Iterator[tuple[Run, str]]:
        """The runs that a filter gives, newest first, each with its experiment's name."""
        file = database(self._settings)
        if file is not None and not file.exists():
            return
        with reaching(self._settings):
            named = {e.experiment_id: e.name for e in self._client.search_experiments()}
            ids = [id for id, name in named.items() if experiment in (None, name)]
            token = None
            while ids:
                page = self._client.search_runs(
                    ids, wanted, max_results=1000, order_by=["attributes.start_time DESC"], page_token=token
                )
                yield from ((run, named[run.info.experiment_id]) for run in page)
                token = page.token
                if not token:
                    return


def _search(run: Run, experiment: str) -> SearchRow:
    tags = run.data.tags
    metric, folder = tags.get("fusegpt.metric", ""), Path(tags.get("fusegpt.folder", ""))
    return SearchRow(
        name=tags["fusegpt.search"],
        experiment=experiment,
        state=_state(tags.get("fusegpt.state", ""), folder),
        metric=metric,
        mode=cast('Literal["min", "max"]', tags.get("fusegpt.mode", "min")),
        best=run.data.metrics.get(f"best/{metric}"),
        best_trial=tags.get("fusegpt.best_trial", ""),
        trials=int(tags.get("fusegpt.trials", 0)),
        started=datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC),
        seconds=_seconds(run),
        error=tags.get("fusegpt.error", ""),
        folder=folder,
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
    )


def _trial(run: Run, search: SearchRow) -> TrialRow:
    tags, metrics = run.data.tags, dict(run.data.metrics)
    best = metrics.pop(f"best/{search.metric}", None)
    state = tags.get("fusegpt.state", "")
    return TrialRow(
        id=tags["fusegpt.trial"],
        number=int(tags.get("fusegpt.number", 0)),
        search=search.name,
        state="interrupted" if state == "running" and search.state != "running" else state,
        epoch=int(tags.get("fusegpt.epoch", 0)),
        best=best,
        drawn=json.loads(tags.get("fusegpt.drawn", "{}")),
        settings=dict(run.data.params),
        metrics=metrics,
        seconds=float(tags.get("fusegpt.seconds", 0.0)) or _seconds(run),
        error=tags.get("fusegpt.error", ""),
        folder=Path(tags.get("fusegpt.folder", "")),
        run_id=run.info.run_id,
    )


def _state(tagged: str, folder: Path) -> str:
    """A search that says it runs, here, and that no process on this machine tracks, was interrupted."""
    gone = tagged == "running" and (folder / "tracking.jsonl").exists() and not in_use(folder)
    return "interrupted" if gone else tagged


def _seconds(run: Run) -> float:
    end = run.info.end_time
    return 0.0 if end is None else (end - run.info.start_time) / 1000
