"""The end of a job is told with the baseline and the defaults beside the best, honestly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import experiments
from service.events import Baseline, Search, Trial, baseline_of, best_of
from service.progress import outcome_json, outcome_text
from service.registry import Decision, Version
from service.run import Outcome


def trial(number: int, best: float | None, **changes: Any) -> Trial:
    metrics = {} if best is None else {"val/ade_m": best, "val/constant_velocity_ade_m": 0.8}
    return Trial(
        f"t{number}", number, {"model.n_head": 2} if number else {}, Path(f"t{number}"), best=best, metrics=metrics,
        **{"state": "finished", "epoch": 3, **changes},
    )  # fmt: skip


def outcome(*trials: Trial, **more: Any) -> Outcome:
    search = Search("night", experiments.load("fusion_waypoints"), Path("runs/night"), "val/ade_m", "min")
    return Outcome(search, list(trials), best_of(search, list(trials)), **more)


def test_the_table_ranks_the_trials_and_the_best_stands_beside_baseline_and_defaults() -> None:
    version = Version("fusion_waypoints", 4, "run", {}, datetime.now(tz=UTC), {})
    told = outcome_text(
        outcome(trial(0, 0.5), trial(1, 0.9), trial(2, 0.4), version=version, decision=Decision(True, "it is better"))
    )
    rows = [line.split()[0] for line in told.splitlines()[2:5]]
    assert rows == ["*", "0", "1"]
    assert "best:       val/ade_m 0.4, trial 2 (n_head=2)" in told
    assert "baseline:   0.8, constant velocity; the best is 50.0 % better than it" in told
    assert "defaults:   0.5, trial 0; the best is 20.0 % better than them" in told
    assert "registered: version 4 of fusion_waypoints" in told
    assert "promoted:   it is better" in told


def test_a_best_that_loses_to_the_baseline_says_so() -> None:
    assert "the best is 25.0 % worse than it" in outcome_text(outcome(trial(0, 1.0)))


def test_the_baseline_is_the_one_that_the_task_names() -> None:
    other = trial(0, 0.5)
    other.metrics = {"val/accuracy": 0.5, "val/constant_velocity_accuracy": 0.4}
    rows = Search("rows", experiments.load("row_classifier"), Path("runs/rows"), "val/accuracy", "max")
    assert baseline_of(rows, [other]) is None, "its task has none, whatever a figure is called"
    driving = outcome(trial(0, 0.5))
    assert baseline_of(driving.search, driving.trials) == Baseline("constant velocity", 0.8)
    assert outcome_json(driving)["baseline"] == 0.8


def test_a_refusal_is_told_with_its_reason() -> None:
    assert "refused:   not better" in outcome_text(outcome(trial(0, 0.5), decision=Decision(False, "not better")))


def test_where_all_failed_the_causes_are_told() -> None:
    told = outcome_text(outcome(trial(0, None, state="failed", error="out of memory")))
    assert "trial 0 failed: out of memory" in told
    assert "no trial reported val/ade_m" in told


def test_a_value_that_is_not_finite_is_never_the_best() -> None:
    result = outcome(trial(0, float("nan")), trial(1, 0.7), trial(2, float("-inf")))
    assert result.best is not None
    assert result.best.number == 1


def test_programs_get_the_same_as_json_without_nan() -> None:
    told = outcome_json(outcome(trial(0, float("nan")), trial(1, 0.4), decision=Decision(True, "better", {"a": 1.0})))
    text = json.dumps(told, allow_nan=False)
    again = json.loads(text)
    assert (again["best"]["number"], again["baseline"], again["decision"]["accepted"]) == (1, 0.8, True)
    assert [one["best"] for one in again["trials"]] == [None, 0.4]


@pytest.mark.parametrize("trials", [(), (trial(0, None, state="failed"),)])
def test_an_outcome_without_a_best_is_json_too(trials: tuple[Trial, ...]) -> None:
    assert outcome_json(outcome(*trials))["best"] is None
