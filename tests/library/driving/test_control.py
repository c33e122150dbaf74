"""Waypoints to steering, throttle and brake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusegpt.driving.control import Control, ControlConfig, Gains, PIDController, WaypointFollower, control

REFERENCE = Path(__file__).parents[2] / "fixtures" / "pid_control.npz"
AHEAD = [[2.0, 0.0], [4.0, 0.0], [6.0, 0.0], [8.0, 0.0]]


def test_a_hundred_and_twenty_steps_agree_with_the_original() -> None:
    follower = WaypointFollower(ControlConfig(lidar_x_m=1.3))
    with np.load(REFERENCE, allow_pickle=False) as arrays:
        # The original's y points right, ours left.
        steps = zip(arrays["waypoints_lidar"] * [1, -1], arrays["speed"], arrays["stuck"], strict=True)
        found = [follower.step(waypoints, float(speed), bool(stuck)) for waypoints, speed, stuck in steps]
        expected = arrays["steer_throttle_brake"]
    ours = np.array([(one.steer, one.throttle, one.brake) for one in found])
    assert np.abs(ours - expected).max() <= 2e-5 * np.abs(expected).max()


def test_straight_on_at_the_wanted_speed_neither_steers_nor_brakes() -> None:
    assert control(AHEAD, 4.0) == Control(steer=0.0, throttle=0.0, brake=False)


@given(y=st.floats(0.01, 5.0))
def test_waypoints_to_the_left_steer_left_as_much_as_those_to_the_right_steer_right(y: float) -> None:
    left = control([[2.0, y], [4.0, y]], 4.0).steer
    right = control([[2.0, -y], [4.0, -y]], 4.0).steer
    assert left < 0 < right
    assert left == pytest.approx(-right)


@given(
    waypoints=st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=6),
    speed=st.floats(0, 60),
    stuck=st.booleans(),
)
def test_controls_never_leave_their_range(waypoints: list[tuple[float, float]], speed: float, stuck: bool) -> None:
    follower = WaypointFollower()
    for _ in range(3):
        told = follower.step(waypoints, speed, stuck)
        assert -1 <= told.steer <= 1
        assert 0 <= told.throttle <= 0.75
        assert told.throttle == 0 or not told.brake


def test_standing_waypoints_brake_even_at_rest() -> None:
    assert control([[0.0, 0.0]] * 4, 0.0).brake


def test_too_fast_for_the_waypoints_brakes() -> None:
    assert control(AHEAD, 4.5).brake
    assert not control(AHEAD, 4.3).brake


def test_a_stuck_vehicle_creeps() -> None:
    assert not WaypointFollower().step([[0.0, 0.0]] * 4, 0.0, stuck=True).brake


def test_the_interval_of_the_waypoints_counts() -> None:
    assert control(AHEAD, 8.0, ControlConfig(waypoint_interval_s=0.25)) == Control(0.0, 0.0, False)


def test_each_follower_remembers_for_itself() -> None:
    turning = [[2.0, 0.3], [4.0, 0.5]]
    one, other = WaypointFollower(), WaypointFollower()
    first = one.step(turning, 4.0)
    second = one.step(turning, 4.0)
    assert other.step(turning, 4.0) == first != second


def test_a_pid_controller_is_the_sum_of_its_three_parts() -> None:
    controller = PIDController(Gains(p=2.0, i=4.0, d=8.0, window=4))
    assert [controller.step(error) for error in (1.0, 1.0, 0.0)] == [2 + 1 + 8, 2 + 2 + 0, 0 + 2 - 8]


@pytest.mark.parametrize("waypoints", [[[1.0, 2.0]], [1.0, 2.0], [[1.0, 2.0, 3.0]] * 3])
def test_waypoints_of_another_shape_are_refused(waypoints: object) -> None:
    with pytest.raises(ValueError, match=r"waypoints: has shape .* \(T, 2\) are needed"):
        control(waypoints, 1.0)
