"""The expert and the traffic: they stay on their lanes, keep their distance, stop and start."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.data.world import expert
from fusegpt.data.world.drive import Drive
from fusegpt.data.world.path import Path
from fusegpt.data.world.road import lay_road
from fusegpt.data.world.surface import Surface

TIMES = np.arange(0.0, 30.0, 0.1)


@pytest.fixture(scope="module")
def drives() -> list[Drive]:
    from fusegpt.data.world.config import WorldData

    reader = WorldData(seed=3, n_drives=8).reader()
    return [reader.drive(name) for name in reader.drives()]


def middle(drive: Drive) -> np.ndarray:
    pose = drive.pose(TIMES)
    return pose[:, :2] + expert.MIDDLE_M * np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)


def test_the_expert_stays_in_its_lane(drives: list[Drive]) -> None:
    for drive in drives:
        gaps = drive.route.xy[None] - middle(drive)[:, None]
        assert np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1).max() < 0.9


def test_the_expert_never_leaves_the_road(drives: list[Drive]) -> None:
    for drive in drives:
        under = drive.ground.surface(*middle(drive).T)
        assert set(np.unique(under)) <= {Surface.ROAD, Surface.MARKING}


def test_nobody_runs_into_who_drives_ahead(drives: list[Drive]) -> None:
    for drive in drives:
        traffic = drive.traffic
        length = np.array([model.length_m for model in traffic.models])
        follows = np.flatnonzero(traffic.leader >= 0)
        ahead = traffic.leader[follows]
        gap = drive.track.s[:, ahead] - drive.track.s[:, follows] - (length[ahead] + length[follows]) / 2
        assert gap.min() > 0.3


def test_the_expert_comes_near_to_no_other_car(drives: list[Drive]) -> None:
    for drive in drives:
        s = drive.track.at(drive.track.s, TIMES)
        for row, here in enumerate(middle(drive)):
            poses, on_road = drive.traffic.poses(s[row])
            distance = np.hypot(*(poses[:, :2] - here).T)
            assert distance[1:][on_road[1:]].min(initial=99.0) > 2.2


def test_drives_have_starts_stops_and_bends(drives: list[Drive]) -> None:
    speed = np.stack([drive.track.at(drive.track.speed[:, 0], TIMES) for drive in drives])
    heading = np.stack([drive.pose(TIMES)[:, 2] for drive in drives])
    assert (speed.min(axis=1) < 0.5).sum() >= 2
    assert (speed.max(axis=1) > 7).all()
    assert (np.ptp(heading, axis=1) > 0.5).sum() >= 4


def test_nothing_stands_on_the_road(drives: list[Drive]) -> None:
    for drive in drives:
        low = drive.scenery.take(drive.scenery.centre[:, 2] - drive.scenery.half[:, 2] < 1.0)
        under = drive.ground.surface(*low.centre[:, :2].T)
        assert not np.isin(under, [Surface.ROAD, Surface.MARKING]).any()


def test_the_other_cars_are_gone_where_traffic_is_nought() -> None:
    from fusegpt.data.world.config import WorldData

    assert len(WorldData(traffic=0).reader().drive("world-0000").traffic.models) == 1


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_a_street_is_long_enough_and_even(seed: int) -> None:
    road = lay_road(np.random.default_rng(seed), 300.0)
    assert road.centreline.length_m > 280
    steps = np.hypot(*np.diff(road.centreline.xy, axis=0).T)
    np.testing.assert_allclose(steps, 0.5, atol=0.02)
    for lane in (*road.ahead(), *road.oncoming()):
        assert np.abs(lane.curvature).max() < 1 / 3.0  # tighter than any car can steer


@settings(max_examples=50)
@given(st.floats(0, 14), st.floats(1, 14), st.floats(0.5, 200), st.floats(-14, 14))
def test_a_smaller_gap_never_makes_a_follower_faster(speed: float, limit: float, gap: float, closing: float) -> None:
    now = np.array([speed]), np.array([limit])
    wide = expert.follow(*now, np.array([gap]), np.array([closing]))
    narrow = expert.follow(*now, np.array([gap * 0.7]), np.array([closing]))
    assert -expert.HARDEST_BRAKING <= narrow[0] <= wide[0] <= expert.ACCELERATION


def test_speed_limits_let_a_car_brake_for_a_bend() -> None:
    straight = np.stack([np.arange(0.0, 60.0, 0.5), np.zeros(120)], axis=1)
    angle = np.arange(0.0, np.pi / 2, 0.05)
    bend = np.array([59.5, 10.0]) + 10.0 * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    limits = expert.speed_limits(Path.through(np.concatenate([straight, bend])), 14.0)
    assert limits[0] == pytest.approx(12.9, abs=1.2)
    assert limits[-10] == pytest.approx(np.sqrt(2.2 * 10), rel=0.1)
    falls = (limits[:-1] ** 2 - limits[1:] ** 2) / (2 * 0.5)
    assert falls.max() < 1.25


@settings(max_examples=50)
@given(st.floats(0.1, 14), st.floats(-0.6, 0.6))
def test_a_turned_wheel_drives_a_circle(speed: float, wheel: float) -> None:
    pose = np.zeros(3)
    for _ in range(40):
        pose = expert.roll(pose, speed, wheel, 0.05)
    curvature = np.tan(wheel) / expert.WHEELBASE_M
    assert pose[2] == pytest.approx(curvature * speed * 2.0)
    if abs(curvature) > 1e-3:
        distance_to_centre = np.hypot(pose[0], pose[1] - 1 / curvature)
        assert distance_to_centre == pytest.approx(1 / abs(curvature), rel=0.02)
