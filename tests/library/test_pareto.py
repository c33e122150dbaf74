from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from fusegpt.pareto import front

POINTS = st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), max_size=12)


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@given(POINTS)
def test_no_point_of_the_front_is_dominated_and_every_other_is(points: list[tuple[float, ...]]) -> None:
    on = front(points)
    for index, point in enumerate(points):
        assert (index in on) != any(dominates(other, point) for other in points)
    assert on == sorted(set(on))


@given(POINTS)
def test_every_point_off_the_front_is_dominated_by_one_on_it(points: list[tuple[float, ...]]) -> None:
    on = front(points)
    for index in set(range(len(points))) - set(on):
        assert any(dominates(points[best], points[index]) for best in on)


def test_one_coordinate_makes_the_front_all_of_the_best() -> None:
    assert front([[2.0], [1.0], [3.0], [1.0]]) == [1, 3]


def test_a_point_that_is_no_number_is_not_on_the_front() -> None:
    assert front([[math.nan, 0.0], [math.inf, 0.0], [1.0, 1.0]]) == [2]
    assert front([]) == []
