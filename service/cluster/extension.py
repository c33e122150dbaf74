"""`extended`: a search that is to have more trials or more time than it had, as if that had been asked from the start.

A draw follows from its number and from what was told before it, so trial 20 is the same in a search of 16 trials that
was extended to 48 and in one of 48.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fusegpt.config import SettingError
from service.cluster.record import SEARCH, read_search, read_spent, read_trials
from service.events import Search

TRIALS, HOURS, GPU_HOURS = "search.trials", "search.budget.hours", "search.budget.gpu_hours"


def extended(search: Search, trials: int = 0, hours: float = 0.0) -> Search:
    """The search with so many trials, and so many hours, in all; 0 leaves what there was.

    Raises what `check_limits` raises.
    """
    limits = {key: value for key, value in {TRIALS: trials, HOURS: hours}.items() if value}
    check_limits(search, limits)
    return replace(search, experiment=search.experiment.override(limits)) if limits else search


def check_limits(search: Search, limits: Mapping[str, float]) -> None:
    """Raise SettingError, naming the key, where a search cannot go on with these limits in all. 0 hours are no limit.

    That is where they are less than it has had, and where it is a population, which cannot grow.
    """
    if TRIALS in limits:
        _check_trials(search, int(limits[TRIALS]))
    for key, spent in ((HOURS, read_spent(search.folder).seconds / 3600), (GPU_HOURS, _gpu_hours(search))):
        if 0 < limits.get(key, 0) <= spent:
            raise SettingError(f"{key}: {spent:.3g} h are spent already; ask for more than that in all")


def as_begun(search: Search) -> Search:
    """A search that goes on, with the settings that it began with and the limits that it has now.

    The experiment's file may have changed since. One that has left no record yet stays as it is.
    """
    if not (search.folder / SEARCH).is_file():
        return search
    begun, settings = read_search(search.folder), search.experiment.settings()
    limits = {key: settings[key] for key in (TRIALS, HOURS, GPU_HOURS)}
    return replace(begun, experiment=begun.experiment.override(limits))


def _check_trials(search: Search, trials: int) -> None:
    begun = max((record.number + 1 for record in read_trials(search)), default=0)
    if trials < begun:
        raise SettingError(f"{TRIALS}: {begun} have begun already; ask for that or more in all")
    if search.experiment.search.algorithm == "pbt" and trials != search.experiment.search.trials:
        raise SettingError(f"{TRIALS}: a population cannot grow once it has begun; start another search")


def _gpu_hours(search: Search) -> float:
    resources = search.experiment.resources
    seconds = sum(record.seconds for record in read_trials(search))
    return seconds * resources.gpus_per_worker * resources.workers_per_trial / 3600
