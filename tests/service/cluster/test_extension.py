from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from standin import experiment, search_of

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.cluster.extension import as_begun, check_limits, extended
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


def test_a_search_that_goes_on_keeps_its_settings_and_takes_the_limits_of_now(
    tmp_path: Path,
) -> None:
    search = begun(tmp_path / "a", 4, experiment(trials=4, epochs=3))
    now = search_of(tmp_path / "a", experiment(trials=9, epochs=7, budget={"hours": 2}))
    assert as_begun(now).experiment == search.experiment.override({"search.trials": 9, "search.budget.hours": 2.0})
    assert as_begun(search_of(tmp_path / "b", experiment())).folder == tmp_path / "b", "nothing was begun there"


def test_hours_of_gpus_are_what_the_trials_have_taken(tmp_path: Path) -> None:
    asked = experiment(trials=4, workers=2).override({"resources.gpus_per_worker": 0.5})
    search = begun(tmp_path / "a", 0, asked)
    write_trial(search, TrialRecord(number=0, drawn={}, state="finished", seconds=7200.0))
    with pytest.raises(SettingError, match=r"search\.budget\.gpu_hours: 2 h are spent"):
        check_limits(search, {"search.budget.gpu_hours": 2.0})
    check_limits(search, {"search.budget.gpu_hours": 2.1})
    check_limits(search, {"search.budget.gpu_hours": 0.0, "search.budget.hours": 0.0})


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
