from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from standin import experiment, search_of

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.cluster.extension import extended
from service.cluster.record import Spent, TrialRecord, write_search, write_spent, write_trial
from service.events import Search


def begun(folder: Path, trials: int, asked: Experiment) -> Search:
    search = search_of(folder, asked)
    write_search(search)
    for number in range(trials):
        write_trial(search, TrialRecord(number=number, drawn={}, state="finished", values={1: 1.0}))
    write_spent(folder, Spent(seconds=5400.0))
    return search


def test_a_search_gets_more_trials_and_hours_and_nothing_else_changes(tmp_path: Path) -> None:
    search = begun(tmp_path / "a", 4, experiment(trials=4))
    more = extended(search, trials=48, hours=4.0)
    assert (more.experiment.search.trials, more.experiment.search.budget.hours) == (48, 4.0)
    assert more.experiment.override({"search.trials": 4, "search.budget.hours": 0.0}) == search.experiment
    assert (more.name, more.folder, more.metric) == (search.name, search.folder, search.metric)
    assert extended(search) == search


@pytest.mark.parametrize(
    ("asked", "wanted", "says"),
    [
        ({}, {"trials": 3}, r"search\.trials: 4 have begun"),
        ({}, {"hours": 1.0}, r"search\.budget\.hours: 1\.5 h are spent"),
        (
            {"algorithm": "pbt", "space": {"model.resid_pdrop": {"low": 0.0, "high": 0.4}}},
            {"trials": 8},
            r"search\.trials: a population cannot grow",
        ),
    ],
)
def test_what_cannot_be_extended_says_why(
    tmp_path: Path, asked: dict[str, Any], wanted: dict[str, Any], says: str
) -> None:
    search = begun(tmp_path / "a", 4, experiment(trials=4, **asked))
    with pytest.raises(SettingError, match=says):
        extended(search, **wanted)
