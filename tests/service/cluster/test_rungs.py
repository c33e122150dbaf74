from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cluster.rungs import Rungs

VALUES = st.lists(st.floats(0, 10), min_size=1, max_size=30)


@given(VALUES, st.sampled_from(["min", "max"]), st.integers(2, 4))
def test_who_is_better_than_all_before_goes_on_and_who_is_worse_than_all_does_not(
    values: list[float], mode: str, factor: int
) -> None:
    rungs = Rungs(mode, 9, 1, factor)  # type: ignore[arg-type]
    better = min if mode == "min" else max
    for number, value in enumerate(values):
        before = values[:number]
        goes_on = rungs.goes_on(number, 1, value)
        if not before or value == better([*before, value]):
            assert goes_on
        elif all(value != other and better(value, other) == other for other in before):
            assert not goes_on


def test_about_one_in_factor_goes_on() -> None:
    rungs = Rungs("min", 9, 1, 3)
    going = sum(rungs.goes_on(number, 1, float(number * 37 % 100)) for number in range(100))
    assert 28 <= going <= 42


def test_between_rungs_and_at_the_last_epoch_nobody_is_judged() -> None:
    rungs = Rungs("min", 9, 1, 3)
    for epoch in (2, 4, 8, 9):
        assert rungs.goes_on(0, epoch, 1.0)
        assert rungs.goes_on(1, epoch, 100.0)
    for epoch in (1, 3):
        assert rungs.goes_on(0, epoch, 1.0)
        assert not rungs.goes_on(1, epoch, 100.0)


def test_a_trial_is_judged_once_at_a_rung() -> None:
    rungs = Rungs("min", 9, 1, 3)
    assert rungs.goes_on(0, 1, 1.0)
    assert not rungs.goes_on(1, 1, 2.0)
    assert rungs.goes_on(1, 1, 2.0), "it was told to stop already; to hear of it again decides nothing"


def test_a_value_that_is_no_number_is_the_worst() -> None:
    rungs = Rungs("max", 9, 1, 3)
    assert rungs.goes_on(0, 1, math.nan)
    assert rungs.goes_on(1, 1, 0.5), "nothing that counts came before"
    assert not rungs.goes_on(2, 1, math.nan)


def test_brackets_follow_from_the_number_in_the_shares_of_hyperband() -> None:
    rungs = Rungs("min", 9, 1, 3, brackets=True, seed=5)
    again = Rungs("min", 9, 1, 3, brackets=True, seed=5)
    drawn = [rungs.bracket(number) for number in range(2000)]
    assert drawn == [again.bracket(number) for number in range(2000)]
    count = Counter(drawn)
    for bracket, share in enumerate((9, 5, 3)):
        assert count[bracket] / 2000 == pytest.approx(share / 17, abs=0.04)


def test_a_later_bracket_waits_longer_and_competes_alone() -> None:
    rungs = Rungs("min", 9, 1, 3, brackets=True)
    first = [number for number in range(100) if rungs.bracket(number) == 0]
    second = [number for number in range(100) if rungs.bracket(number) == 1]
    last = [number for number in range(100) if rungs.bracket(number) == 2]
    assert rungs.goes_on(first[0], 1, 1.0)
    assert not rungs.goes_on(first[1], 1, 2.0)
    assert rungs.goes_on(second[0], 1, 9.0), "no rung there"
    assert rungs.goes_on(second[0], 3, 9.0), "the first of its bracket"
    assert not rungs.goes_on(second[1], 3, 9.5)
    assert all(rungs.goes_on(last[0], epoch, 99.0) for epoch in range(1, 10))
