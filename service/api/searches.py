"""The routes of searches as MLflow has them: also those that were no job, and what they came to.

Jobs are told by the job store while they run; this is the record of all that was ever searched.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

import experiments
from fusegpt.config import SettingError
from service.api.access import Viewer
from service.api.problems import problems
from service.api.search_wire import BestView, FrontView, SearchList, SearchTrialView, SearchView
from service.api.services import Services, Use
from service.cluster.record import SEARCH, read_search, read_trials
from service.errors import NotFound
from service.events import front_of
from service.jobs.job import NAME
from service.progress.record import trial_json
from service.tracking import History, SearchRow, TrialRow

router = APIRouter(prefix="/v1/searches", tags=["searches"])

Name = Annotated[str, Path(pattern=NAME, description="The search's name.")]
SearchOrExperiment = Annotated[str, Path(pattern=NAME, description="A search, or an experiment: all its searches.")]


@router.get("", responses=problems())
def searches(
    use: Use,
    _: Viewer,
    experiment: Annotated[str, Query(pattern=r"^[a-z0-9_]*$", description="Only this experiment's.")] = "",
) -> SearchList:
    """All searches, newest first, and the champions of their experiments."""
    rows = History(use.settings).searches(experiment or None)
    champions = {name: use.registry.champion(name) for name in sorted({row.experiment for row in rows})}
    return SearchList(
        searches=[SearchView.of(row) for row in rows],
        champions={name: version.number if version else None for name, version in champions.items()},
    )


@router.get("/{name}/trials", responses=problems(404))
def trials(name: Name, use: Use, _: Viewer) -> list[SearchTrialView]:
    """The trials of a search, by number, each with all its settings."""
    history = History(use.settings)
    return _views(use, history.find(name), history.trials(name))


@router.get("/{name}/best", responses=problems(404))
def best(name: SearchOrExperiment, use: Use, _: Viewer) -> BestView:
    """The best trial of a search, or of all searches of an experiment."""
    history = History(use.settings)
    rows = history.searches(name) if name in experiments.names() else [history.find(name)]
    judged = [row for row in rows if row.best is not None]
    if not judged:
        raise NotFound(f"{name}: no trial has reported its metric yet")
    sign = 1 if judged[0].mode == "min" else -1
    row = min(judged, key=lambda row: sign * (row.best or 0.0))
    reported = [trial for trial in history.trials(row.name) if trial.best is not None]
    if not reported:
        raise NotFound(f"{row.name}: its trials are not in MLflow yet")
    first = min(reported, key=lambda trial: sign * (trial.best or 0.0))
    return BestView(search=SearchView.of(row), trial=_views(use, row, [first])[0])


@router.get("/{name}/front", responses=problems(404))
def front(name: Name, use: Use, _: Viewer) -> FrontView:
    """The trials of a search with several objectives that none beats in all of them. 422 where it has only one."""
    folder = use.settings.runs / name
    if not (folder / SEARCH).is_file():
        raise NotFound(f"there is no search {name!r} among the records of this service")
    search = read_search(folder)
    objectives = search.experiment.search.objectives
    if not objectives:
        raise SettingError(
            f"{name}: has no search.objectives beside {search.metric}; fusegpt best {name} shows its best"
        )
    trials = front_of(search, [record.trial(search) for record in read_trials(search)])
    told = [trial_json(trial) for trial in trials]
    return FrontView(search=name, metric=search.metric, objectives=list(objectives), front=told)


def _views(use: Services, search: SearchRow, rows: list[TrialRow]) -> list[SearchTrialView]:
    """With what became of them: a trial's run is where its registered version came from."""
    versions = {version.run_id: version for version in use.registry.versions(search.experiment)}
    return [SearchTrialView.of(row, versions.get(row.run_id)) for row in rows]
