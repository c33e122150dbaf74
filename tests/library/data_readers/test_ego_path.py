"""Laws of the labels that follow from where the car was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusegpt.data.ego_path import EgoPath

HORIZONS = (0.5, 1.0, 1.5, 2.0)


def path_of(xy: np.ndarray, headings: np.ndarray, times: np.ndarray, max_gap_s: float = 1.0) -> EgoPath:
    poses = np.tile(np.eye(4), (len(times), 1, 1))
    poses[:, 0, 0], poses[:, 0, 1] = np.cos(headings), -np.sin(headings)
    poses[:, 1, 0], poses[:, 1, 1] = np.sin(headings), np.cos(headings)
    poses[:, :2, 3] = xy
    return EgoPath(times, poses, max_gap_s)


def straight(speed: float = 4.0, heading: float = 0.0, count: int = 21, period: float = 0.25) -> EgoPath:
    times = np.arange(count) * period
    xy = np.outer(speed * times, [math.cos(heading), math.sin(heading)])
    return path_of(xy, np.full(count, heading), times)


@given(speed=st.floats(0, 40), heading=st.floats(-3.2, 3.2))
def test_straight_driving_is_v_t_ahead_whatever_the_heading(speed: float, heading: float) -> None:
    path = straight(speed, heading)
    np.testing.assert_allclose(path.waypoints(4, HORIZONS), [[speed * t, 0] for t in HORIZONS], atol=1e-3)
    assert path.speed_mps(4) == pytest.approx(speed, abs=1e-6)


@given(turn=st.floats(-3, 3), x=st.floats(-1e4, 1e4), y=st.floats(-1e4, 1e4), bend=st.floats(-0.1, 0.1))
def test_labels_do_not_depend_on_where_the_world_has_its_origin(turn: float, x: float, y: float, bend: float) -> None:
    times = np.arange(21) * 0.25
    headings = bend * times * 5
    xy = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0)
    c, s = math.cos(turn), math.sin(turn)
    here, there = path_of(xy, headings, times), path_of(xy @ [[c, s], [-s, c]] + [x, y], headings + turn, times)
    np.testing.assert_allclose(here.waypoints(2, HORIZONS), there.waypoints(2, HORIZONS), atol=1e-3)
    np.testing.assert_allclose(here.target_point(2, 6.0), there.target_point(2, 6.0), atol=1e-3)


def test_a_sample_too_near_to_the_end_has_no_waypoints() -> None:
    path = straight(count=13)  # three seconds
    assert path.waypoints(4, HORIZONS) is not None
    assert path.waypoints(5, HORIZONS) is None


def test_nothing_is_read_across_a_hole() -> None:
    whole = straight()
    kept = [i for i in range(21) if not 8 <= i <= 12]
    holed = EgoPath(whole.times_s[kept], whole.poses[kept], max_gap_s=1.0)
    assert holed.waypoints(0, HORIZONS) is None  # to 2.0 s, and the hole begins at 1.75 s
    assert holed.waypoints(0, (0.5, 1.75)) is not None
    assert holed.waypoints(8, (0.5, 1.5)) is not None
    assert holed.speed_mps(8) is None


def test_the_target_point_is_that_far_along_the_path_and_not_as_the_crow_flies() -> None:
    corner = np.array([[0, 0], [5, 0], [10, 0], [10, 5], [10, 10]], dtype=float)
    path = path_of(corner, np.array([0, 0, math.pi / 2, math.pi / 2, math.pi / 2]), np.arange(5.0))
    np.testing.assert_allclose(path.target_point(0, 12.0), [10, 2], atol=1e-5)
    np.testing.assert_allclose(path.target_point(0, 30.0), [10, 20], atol=1e-5)  # beyond the end: straight on
    np.testing.assert_allclose(path.target_point(3, 3.0), [3, 0], atol=1e-5)


def test_a_standing_car_has_its_target_straight_ahead() -> None:
    np.testing.assert_allclose(straight(speed=0.0, heading=1.0).target_point(0, 20.0), [20, 0], atol=1e-5)


def test_speed_is_negative_in_reverse_and_unknown_at_the_first_pose() -> None:
    times = np.arange(5) * 0.25
    path = path_of(np.outer(-2.0 * times, [1, 0]), np.zeros(5), times)
    assert path.speed_mps(3) == pytest.approx(-2.0)
    assert path.speed_mps(0) is None


def test_speed_uses_nothing_of_the_future() -> None:
    times = np.arange(6) * 0.25
    path = path_of(np.array([[0, 0], [1, 0], [2, 0], [9, 0], [20, 0], [40, 0]], dtype=float), np.zeros(6), times)
    assert path.speed_mps(2) == pytest.approx(4.0)
