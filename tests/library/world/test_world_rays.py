"""Rays against solids, and the projection of the camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.data.world.camera import MOUNT_M, Camera
from fusegpt.data.world.rays import cast
from fusegpt.data.world.scanner import Scanner
from fusegpt.data.world.solids import Solids, block, join
from fusegpt.data.world.surface import Surface

GREY = (0.5, 0.5, 0.5)
ORIGIN = np.zeros(3, np.float32)


def thing(at: tuple[float, float, float], half: tuple[float, float, float], yaw: float = 0.0, **how: bool) -> Solids:
    return block(np.array(at), half, yaw, Surface.BUILDING, GREY, **how)


def one_ray(*direction: float) -> np.ndarray:
    return np.array(direction, np.float32).reshape(1, 1, 3)


def everywhere(solids: Solids, directions: np.ndarray) -> np.ndarray:
    rows, columns = directions.shape[:2]
    return np.tile(np.array([0, rows, 0, columns], np.int32), (len(solids), 1))


def distance(solids: Solids, *direction: float) -> float:
    rays = one_ray(*direction)
    return float(cast(ORIGIN, rays, solids, everywhere(solids, rays)).distance[0])


def test_a_ray_hits_the_near_face_of_a_box() -> None:
    assert distance(thing((10, 0, 0), (2, 1, 1)), 1, 0, 0) == pytest.approx(8)


def test_a_turned_box_is_hit_where_its_corner_is() -> None:
    assert distance(thing((10, 0, 0), (1, 1, 1), np.pi / 4), 1, 0, 0) == pytest.approx(10 - np.sqrt(2), abs=1e-4)


def test_a_ball_is_hit_at_its_radius_and_missed_beside_it() -> None:
    ball = thing((10, 0, 0), (2, 2, 2), rounded=True)
    assert distance(ball, 1, 0, 0) == pytest.approx(8, abs=1e-4)
    assert distance(ball, 1, 0.25, 0) == np.inf


def test_the_nearer_of_two_wins_whatever_their_order() -> None:
    near, far = thing((5, 0, 0), (1, 1, 1)), thing((20, 0, 0), (1, 5, 5))
    for order in ([near, far], [far, near]):
        assert distance(join(order), 1, 0, 0) == pytest.approx(4)


def test_what_is_behind_or_around_the_origin_is_not_hit() -> None:
    assert distance(thing((-10, 0, 0), (2, 1, 1)), 1, 0, 0) == np.inf
    assert distance(thing((0, 0, 0), (2, 1, 1)), 1, 0, 0) == np.inf


PLACE = st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(-1.5, 4))
HALF = st.tuples(st.floats(0.2, 6), st.floats(0.2, 6), st.floats(0.2, 4))


@settings(max_examples=60)
@given(PLACE, HALF, st.floats(-4, 4), st.booleans())
def test_no_hit_lies_outside_the_window_that_a_solid_is_sought_in(
    at: tuple[float, float, float], half: tuple[float, float, float], yaw: float, rounded: bool
) -> None:
    solid = thing(at, half, yaw, rounded=rounded)
    camera, scanner = Camera(48, 160, 80.0), Scanner(16, 120, 80.0)
    reach = np.hypot(half[0], half[1]) + 0.5
    if np.hypot(at[0], at[1]) < reach:
        return  # the sensor is inside, or almost
    for origin, grid in ((MOUNT_M.astype(np.float32), camera), (ORIGIN, scanner)):
        windowed = cast(origin, grid.directions, solid, grid._windows(solid)).distance
        sought = cast(origin, grid.directions, solid, everywhere(solid, grid.directions)).distance
        seen = np.where(sought < 140, sought, np.inf)
        np.testing.assert_array_equal(np.where(windowed < 140, windowed, np.inf), seen)


@settings(max_examples=30)
@given(st.integers(0, 95), st.integers(0, 319), st.floats(1, 80))
def test_the_projection_is_the_inverse_of_the_pixels_ray(row: int, column: int, depth: float) -> None:
    camera = Camera(96, 320, 81.4)
    point = MOUNT_M + camera.directions[row, column].astype(float) * depth
    u, v, w = camera.projection.astype(float) @ np.append(point, 1.0)
    assert (u / w, v / w) == (pytest.approx(column, abs=1e-2), pytest.approx(row, abs=1e-2))
    assert w == pytest.approx(depth, rel=1e-4)
