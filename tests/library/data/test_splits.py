from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from fusegpt.config import SettingError
from fusegpt.data.splits import NONE, PARTS, TEST, TRAIN, VAL, Splits, assign

Times = NDArray[np.float64]

times = st.lists(st.floats(0, 60, allow_nan=False), min_size=0, max_size=60).map(lambda t: np.array(sorted(t)))
many_drives = st.dictionaries(st.integers(0, 99).map("drive_{:04d}".format), times, min_size=1, max_size=12)
fractions = st.floats(0, 0.45)


def drives(count: int, seconds: float = 30.0) -> dict[str, Times]:
    return {f"2011_09_26_drive_{i:04d}_sync": np.arange(0, seconds, 0.1) for i in range(1, count + 1)}


@settings(max_examples=150)
@given(times=many_drives, val=fractions, test=fractions, gap_s=st.floats(0, 5))
def test_no_two_parts_of_one_drive_come_closer_than_the_gap(
    times: dict[str, Times], val: float, test: float, gap_s: float
) -> None:
    parts = assign(times, Splits(val_fraction=val, test_fraction=test, gap_s=gap_s))
    for name, codes in parts.items():
        for one, other in ((TRAIN, VAL), (TRAIN, TEST), (VAL, TEST)):
            apart = np.abs(times[name][codes == one][:, None] - times[name][codes == other][None, :])
            assert apart.min(initial=np.inf) >= gap_s - 1e-9


@settings(max_examples=100)
@given(times=many_drives, val=fractions, test=fractions)
def test_every_sample_has_one_part_and_the_same_one_each_time(times: dict[str, Times], val: float, test: float) -> None:
    splits = Splits(val_fraction=val, test_fraction=test)
    parts = assign(times, splits)
    again = assign(dict(reversed(times.items())), splits)
    assert set(parts) == set(times)
    for name, codes in parts.items():
        assert len(codes) == len(times[name])
        assert set(codes) <= {NONE, *PARTS.values()}
        assert np.array_equal(codes, again[name])


def test_named_drives_are_held_out_whole_and_no_others() -> None:
    parts = assign(drives(3), Splits(val_drives=("0002",), test_drives=("2011_09_26_drive_0003_sync",)))
    assert [set(codes) for codes in parts.values()] == [{TRAIN}, {VAL}, {TEST}]


def test_a_part_of_a_name_holds_out_every_drive_that_has_it() -> None:
    """In CARLA a town is held out, not a drive."""
    towns = {f"Town05_route{i}": np.arange(0, 30.0, 0.1) for i in (1, 2)}
    parts = assign({**drives(3), **towns}, Splits(test_drives=("Town05",), val_fraction=0))
    assert {name for name, codes in parts.items() if TEST in codes} == {"Town05_route1", "Town05_route2"}


def test_a_part_without_named_drives_takes_its_fraction_of_the_others() -> None:
    parts = assign(drives(3), Splits(test_drives=("0003",), val_fraction=0.2, gap_s=2.0))
    first, second, third = parts.values()
    assert set(third) == {TEST}
    for codes in (first, second):
        assert (codes == VAL).mean() == pytest.approx(0.2, abs=0.02)
        assert (codes == NONE).sum() == pytest.approx(20, abs=1), "the gap of 2 s at 10 Hz"
        assert not (codes == TEST).any()


def test_seven_drives_are_split_whole() -> None:
    parts = assign(drives(7), Splits())
    assert sorted(int(codes[0]) for codes in parts.values()) == [TRAIN] * 5 + [VAL, TEST]
    assert all(len(set(codes)) == 1 for codes in parts.values())


def test_six_drives_are_split_by_time_with_the_test_at_the_end() -> None:
    codes = next(iter(assign(drives(6), Splits()).values()))
    order = [int(code) for code, before in zip(codes, [None, *codes[:-1]], strict=True) if code != before]
    assert order == [TRAIN, NONE, VAL, NONE, TEST]


def test_a_new_drive_moves_few_others_between_the_parts() -> None:
    before, after = assign(drives(40), Splits()), assign(drives(41), Splits())
    moved = [name for name in before if before[name][0] != after[name][0]]
    assert len(moved) <= 3


def test_with_fractions_of_zero_everything_is_for_training() -> None:
    for count in (2, 9):
        parts = assign(drives(count), Splits(val_fraction=0, test_fraction=0))
        assert {int(code) for codes in parts.values() for code in codes} == {TRAIN}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"val_drives": ("0009",)}, "data.splits.val_drives: '0009' is no drive"),
        ({"val_drives": ("0001",), "test_drives": ("0001",)}, "data.splits.test_drives: .* is in data.splits.val"),
    ],
)
def test_a_name_that_fits_no_drive_or_both_parts_is_told_by_its_setting(splits: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        assign(drives(3), Splits.model_validate(splits))


def test_fractions_that_leave_nothing_for_training_are_refused() -> None:
    with pytest.raises(ValidationError, match="below 1"):
        Splits(val_fraction=0.5, test_fraction=0.5)
