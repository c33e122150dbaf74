"""`extended`: a search that is to have more trials or more time than it had, as if that had been asked from the start.

A draw follows from its number and from what was told before it, so trial 20 is the same in a search of 16 trials that
was extended to 48 and in one of 48.
"""

from __future__ import annotations

from dataclasses import replace

from fusegpt.config import SettingError
from service.cluster.record import read_spent, read_trials
from service.events import Search


def extended(search: Search, trials: int = 0, hours: float = 0.0) -> Search:
    """The search with so many trials, and so many hours, in all; 0 leaves what there was.

    Raises SettingError where that is less than it has had, and where it is a population, which cannot grow.
    """
    changes: dict[str, float] = {}
    if trials:
        _check_trials(search, trials)
        changes["search.trials"] = trials
    if hours:
        spent = read_spent(search.folder).seconds / 3600
        if hours <= spent:
            raise SettingError(f"search.budget.hours: {spent:.3g} h are spent already; ask for more than that in all")
        changes["search.budget.hours"] = hours
    return replace(search, experiment=search.experiment.override(changes)) if changes else search


def _check_trials(search: Search, trials: int) -> None:
    begun = max((record.number + 1 for record in read_trials(search)), default=0)
    if trials < begun:
        raise SettingError(f"search.trials: {begun} have begun already; ask for that or more in all")
    if search.experiment.search.algorithm == "pbt" and trials != search.experiment.search.trials:
        raise SettingError("search.trials: a population cannot grow once it has begun; start another search")
