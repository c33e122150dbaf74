from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from standin import METRIC, experiment, search_of

from service.cluster.halving import Halving
from service.cluster.record import TrialRecord


def trial(number: int) -> Any:
    return SimpleNamespace(trial_id=f"tune {number}", config={"number": number})


def halving(folder: Path, past: list[TrialRecord]) -> Halving:
    return Halving(search_of(folder, experiment(epochs=9, algorithm="asha", reduction_factor=2)), past)


def decide(scheduler: Halving, one: Any, epoch: int, value: float) -> str:
    return str(scheduler.on_trial_result(None, one, {"epoch": epoch, METRIC: value}))


def test_a_bad_trial_is_stopped_at_a_rung_and_a_good_one_goes_on(tmp_path: Path) -> None:
    scheduler = halving(tmp_path, [])
    one, two, three = (trial(number) for number in range(3))
    for each in (one, two, three):
        scheduler.on_trial_add(None, each)
    assert decide(scheduler, one, 1, 2.0) == "CONTINUE"
    assert decide(scheduler, two, 1, 1.0) == "CONTINUE"
    assert decide(scheduler, three, 1, 3.0) == "STOP"


def test_the_last_epoch_ends_by_itself(tmp_path: Path) -> None:
    scheduler, one = halving(tmp_path, []), trial(0)
    scheduler.on_trial_add(None, one)
    assert decide(scheduler, one, 9, 1.0) == "CONTINUE"


def test_trials_of_before_the_interruption_still_set_the_bar(tmp_path: Path) -> None:
    ended = TrialRecord(number=0, drawn={}, state="finished", values={1: 1.0, 2: 0.9})
    scheduler, late = halving(tmp_path, [ended]), trial(1)
    scheduler.on_trial_add(None, late)
    assert decide(scheduler, late, 1, 2.0) == "STOP"


def test_an_interrupted_trial_is_not_judged_twice_at_one_rung(tmp_path: Path) -> None:
    interrupted = TrialRecord(number=3, drawn={}, state="running", values={1: 1.0})
    other = TrialRecord(number=4, drawn={}, state="finished", values={1: 0.5})
    scheduler, again = halving(tmp_path, [other, interrupted]), trial(3)
    scheduler.on_trial_add(None, again)
    assert decide(scheduler, again, 1, 1.0) == "CONTINUE", "the rung is behind it"
    assert decide(scheduler, again, 2, 1.0) == "CONTINUE", "nobody else has come so far"


def test_a_result_without_an_epoch_decides_nothing(tmp_path: Path) -> None:
    assert str(halving(tmp_path, []).on_trial_result(None, trial(0), {"ended": True})) == "CONTINUE"
