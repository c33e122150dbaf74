"""The synthetic world as a source of samples: reproducible, in one frame, and with something to learn from."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from fusegpt.data.lidar import BevGrid
from fusegpt.data.sample import DataError, Sample
from fusegpt.data.world.camera import FAR_M, LIDAR_HEIGHT_M
from fusegpt.data.world.config import WorldData
from fusegpt.data.world.drive import Drive
from fusegpt.data.world.reader import WorldReader
from fusegpt.data.world.surface import Surface


def digest(samples: list[Sample]) -> str:
    content = hashlib.sha256()
    for sample in samples:
        for values in (sample.image, sample.sweep, sample.target_point, sample.waypoints):
            content.update(values.tobytes())
        content.update(np.float64(sample.speed_mps).tobytes())
    return content.hexdigest()


def first(config: WorldData, count: int = 3, drive: str = "world-0001") -> list[Sample]:
    return list(itertools.islice(config.reader().samples(drive), count))


def short(**settings: object) -> WorldData:
    return WorldData.model_validate({"n_drives": 3, "seconds_per_drive": 6, **settings})


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert digest(first(short(seed=7))) == digest(first(short(seed=7)))


def test_another_seed_or_drive_makes_another_world() -> None:
    digests = {
        digest(first(short(seed=7))),
        digest(first(short(seed=8))),
        digest(first(short(seed=7), drive="world-0000")),
    }
    assert len(digests) == 3


def test_a_frame_is_the_same_whichever_frames_are_read_before_it() -> None:
    every, third = first(short(), count=4), first(short(stride=3), count=2)
    assert [sample.frame for sample in third] == [0, 3]
    assert digest(every[3:]) == digest(third[1:])


def test_a_reader_yields_as_many_samples_as_it_says_with_the_shapes_that_it_promises(
    reader: WorldReader, samples: list[Sample]
) -> None:
    assert len(samples) == reader.frames("world-0000") == 24
    for sample in samples:
        assert sample.image.shape == (96, 320, 3)
        assert sample.image.dtype == np.uint8
        assert sample.sweep.dtype == sample.waypoints.dtype == sample.projection.dtype == np.float32
        assert sample.waypoints.shape == (4, 2)
        assert sample.labels["bev_semantics"].shape == reader.config.lidar.shape[1:]
        assert sample.labels["semantics"].shape == sample.labels["depth_m"].shape == (96, 320)
    assert reader.problems == []


def test_an_unknown_drive_is_an_error_that_says_which_there_are(reader: WorldReader) -> None:
    with pytest.raises(DataError, match=r"world-0009.*world-0000 to world-0003"):
        reader.frames("world-0009")


def test_labels_are_made_only_where_they_are_asked_for() -> None:
    assert first(short(), count=1)[0].labels == {}


def test_waypoints_are_where_the_ego_then_is(drive: Drive, samples: list[Sample]) -> None:
    for now, later in zip(samples, samples[2:], strict=False):  # two samples at 2 Hz are one second
        x, y, heading = drive.pose(np.array([now.time_s]))[0]
        forward, left = now.waypoints[1]
        world = [
            x + np.cos(heading) * forward - np.sin(heading) * left,
            y + np.sin(heading) * forward + np.cos(heading) * left,
        ]
        np.testing.assert_allclose(world, drive.pose(np.array([later.time_s]))[0, :2], atol=1e-3)


def test_the_way_driven_is_the_integral_of_the_speed(drive: Drive) -> None:
    track = drive.track
    steps = np.hypot(*np.diff(track.pose[:, :2], axis=0).T)
    mean_speed = (track.speed[:-1, 0] + track.speed[1:, 0]) / 2
    np.testing.assert_allclose(steps, mean_speed * 0.05, atol=1e-3)


def test_the_target_point_lies_on_the_route_at_the_distance_that_was_asked_for() -> None:
    for distance in (10.0, 25.0):
        sample = first(short(target_distance_m=distance), count=1)[0]
        # The first 60 metres of every street are straight, and its first straight is longer than that by 10.
        assert 0.85 * distance < np.hypot(*sample.target_point) < distance + 0.5
        assert sample.target_point[0] > 0


def test_points_of_the_ground_lie_at_the_height_of_the_ground(samples: list[Sample]) -> None:
    for sample in samples[::6]:
        low = sample.sweep[:, 2] < -LIDAR_HEIGHT_M + 0.1
        assert low.mean() > 0.3
        assert abs(sample.sweep[low, 2].mean() + LIDAR_HEIGHT_M) < 0.02
        assert sample.sweep[:, 2].min() > -LIDAR_HEIGHT_M - 0.1


def test_returns_lie_within_the_range_and_the_field_of_the_lidar(samples: list[Sample]) -> None:
    for sample in samples[::6]:
        distance = np.linalg.norm(sample.sweep[:, :3], axis=1)
        assert distance.min() > 0.9
        assert distance.max() < 80.2
        elevation = np.rad2deg(np.arcsin(sample.sweep[:, 2] / distance))
        assert elevation.min() > -24.9
        assert elevation.max() < 2.1
        assert ((sample.sweep[:, 3] >= 0) & (sample.sweep[:, 3] <= 1)).all()


def seen_by_the_camera(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the sweep in the image: their row and column, and which points they are."""
    homogeneous = np.column_stack([sample.sweep[:, :3], np.ones(len(sample.sweep))]) @ sample.projection.T
    ahead = np.flatnonzero(homogeneous[:, 2] > 1)
    column, row = np.rint(homogeneous[ahead, :2] / homogeneous[ahead, 2:]).astype(int).T
    inside = (row >= 0) & (row < sample.image.shape[0]) & (column >= 0) & (column < sample.image.shape[1])
    return row[inside], column[inside], ahead[inside]


def test_the_camera_and_the_lidar_agree_on_how_far_things_are(samples: list[Sample]) -> None:
    for sample in samples[::6]:
        row, column, point = seen_by_the_camera(sample)
        depth = sample.labels["depth_m"][row, column]
        ahead = sample.sweep[point, 0] - 0.27  # the camera is mounted 0.27 m ahead of the LiDAR
        near = (ahead < 25) & (depth < FAR_M)
        # At the edges of things the two look past each other, and a pixel of the ground is long.
        assert (np.abs(depth - ahead) < 0.05 * ahead + 0.2)[near].mean() > 0.9


def test_what_the_lidar_finds_on_cars_lies_on_their_pixels_and_their_cells(samples: list[Sample]) -> None:
    grid = BevGrid()
    agreed, pixels = [], []
    for sample in samples:
        row, column, point = seen_by_the_camera(sample)
        # A return lies on the edge of its car: looked for a little farther, where the car is.
        farther = 1 + 0.4 / np.linalg.norm(sample.sweep[point, :2], axis=1)
        x, y, z = sample.sweep[point, :3].T * farther
        on_map = (x > 0) & (x < 32) & (np.abs(y) < 16) & (z > -1.4) & (z < -0.6)
        cell = sample.labels["bev_semantics"][((32 - x[on_map]) * 4).astype(int), ((16 - y[on_map]) * 4).astype(int)]
        car = sample.labels["semantics"][row, column][on_map] == Surface.VEHICLE
        agreed.append(cell[car] == Surface.VEHICLE)
        pixels.append(car.sum())
    assert grid.shape[1:] == (128, 128)
    assert sum(pixels) > 200
    assert np.concatenate(agreed).mean() > 0.85


def test_the_present_place_of_the_ego_is_road_in_the_map_seen_from_above(samples: list[Sample]) -> None:
    for sample in samples:
        nearest = sample.labels["bev_semantics"][-4:, 62:66]
        assert set(np.unique(nearest)) <= {Surface.ROAD, Surface.MARKING}


def test_constant_velocity_is_a_clearly_imperfect_driver() -> None:
    config = WorldData(n_drives=6)
    ahead = np.array(config.horizons_s)
    errors = []
    for name in config.reader().drives():
        drive = config.reader().drive(name)
        for time_s in np.arange(0.0, config.seconds_per_drive, 0.5):
            now = drive.pose(np.array([time_s]))[0]
            speed = drive.track.at(drive.track.speed[:, 0], np.array([time_s]))[0]
            guess = now[:2] + speed * ahead[:, None] * np.array([np.cos(now[2]), np.sin(now[2])])
            errors.append(np.hypot(*(drive.pose(time_s + ahead)[:, :2] - guess).T).mean())
    assert 0.5 < np.mean(errors) < 1.5
