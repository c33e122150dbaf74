from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from fusegpt.data.lidar import PRESETS, BevGrid, counts, histogram

Cloud = NDArray[np.float32]


def in_the_originals_frame(points: Cloud, layout: str) -> Cloud:
    """Our x forward, y left -> CARLA 2021 and 2022: x left, y backward; carla_garage: x forward, y right."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    if layout in ("cvpr2021", "pami2022"):
        return np.stack([y, -x, z], axis=1)
    return np.stack([x, -y if layout == "carla_garage" else y, z], axis=1)


def original(points: Cloud, name: str) -> Cloud:
    """The four originals, as they count: histogramdd, cut at 5, divided by 5, turned."""
    edges = {
        "cvpr2021": (np.linspace(-32, 33, 257), np.linspace(-32, 0, 257)),
        "pami2022": (np.linspace(-16, 16, 257), np.linspace(-32, 0, 257)),
        "carla_garage": (np.linspace(-32, 32, 257), np.linspace(-32, 32, 257)),
        "navsim": (np.linspace(-32, 32, 257), np.linspace(-32, 32, 257)),
    }[name]
    split = PRESETS[name].split_z_m
    points = in_the_originals_frame(points, name)
    if name in ("carla_garage", "navsim"):
        points = points[points[:, 2] < 100]
    layers = {}
    for side, kept in (("above", points[:, 2] > split), ("below", points[:, 2] <= split)):
        tally = np.histogramdd(points[kept][:, :2], bins=edges)[0]
        layers[side] = np.minimum(tally, 5) / 5
    sides = {"cvpr2021": ["below", "above"], "pami2022": ["above", "below"]}.get(name, ["above"])
    stacked = np.stack([layers[side] for side in sides]).astype(np.float32)
    if name == "pami2022":
        return np.rot90(stacked, -1, axes=(1, 2))
    return stacked.transpose(0, 2, 1) if name == "carla_garage" else stacked


def awkward(rng: np.random.Generator, count: int, dtype: str) -> Cloud:
    """Points on edges, next to edges, on the split, far outside, and not finite."""
    steps = rng.integers(-40 * 8, 40 * 8, (count, 2)) / 8
    t21 = np.linspace(-32, 33, 257)[rng.integers(0, 257, count)]
    anywhere = rng.uniform(-40, 40, (count, 2))
    x = np.choose(rng.integers(0, 2, count), [steps[:, 0], anywhere[:, 0]])
    y = np.choose(rng.integers(0, 3, count), [steps[:, 1], anywhere[:, 1], t21])
    z = rng.choice([-2.3, -2.0, 0.2, 0.0, -5.0, 99.9, 100.0, 101.0, np.nan, np.inf, -np.inf], count)
    points = np.stack([x, y, z], axis=1).astype(dtype)
    nudged = rng.integers(-1, 2, (count, 2))
    points[:, :2] = np.where(nudged, np.nextafter(points[:, :2], (nudged * np.inf).astype(dtype)), points[:, :2])
    wild = rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e38, 1e-40, -1e-40], (count, 2))
    points[:, :2] = np.where(rng.random((count, 2)) < 0.05, wild, points[:, :2])
    return points


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_each_originals_grid_counts_awkward_points_as_the_original_does(name: str, dtype: str) -> None:
    for seed in range(4):
        points = awkward(np.random.default_rng(seed), 4000, dtype)
        points[:, 2] = np.where(np.isinf(points[:, 2]), -1.0, points[:, 2]) if seed % 2 else points[:, 2]
        if name in ("cvpr2021", "pami2022"):
            points = points[~(points[:, 2] >= PRESETS[name].max_z_m)]
        assert np.array_equal(histogram(points, PRESETS[name]), original(points, name))


def test_the_2022_codes_own_result_is_reproduced_in_every_cell(reference_results: Path) -> None:
    with np.load(reference_results / "lidar_histogram.npz") as reference:
        points, expected = reference["points"], reference["histogram"]
    ours = np.stack([-points[:, 1], points[:, 0], points[:, 2]], axis=1)
    assert np.array_equal(histogram(ours, PRESETS["pami2022"]), expected)


def test_a_person_sees_far_ahead_in_the_first_row_and_left_in_the_first_column() -> None:
    grid = BevGrid()
    points = np.array([[31.9, 15.9, 0.0], [0.1, -15.9, -1.5]], np.float32)
    picture = counts(points, grid)
    assert picture.shape == grid.shape == (2, 128, 128)
    assert picture[0, 0, 0] == 1, "ahead to the left, above the split"
    assert picture[1, -1, -1] == 1, "near to the right, below it"
    assert picture.sum() == 2


@pytest.mark.parametrize("layout", ["ahead_up", "cvpr2021", "carla_garage", "navsim"])
def test_mirroring_the_points_mirrors_the_lateral_axis(layout: str) -> None:
    grid = BevGrid.model_validate({"layout": layout, "x_max_m": 16})
    points = np.random.default_rng(0).uniform((0, -16, -2), (16, 16, 1), (500, 3))
    mirrored = counts(points * [1, -1, 1], grid)
    assert np.array_equal(mirrored, np.flip(counts(points, grid), grid.lateral_axis))


def test_no_points_make_an_empty_picture() -> None:
    assert counts(np.zeros((0, 4), np.float32), BevGrid()).sum() == 0


def test_counts_are_cut_at_the_setting_and_divided_by_it() -> None:
    grid = BevGrid(max_points_per_cell=3)
    points = np.tile(np.array([[5.1, 0.1, 0.0]], np.float32), (300, 1))
    assert counts(points, grid).max() == 3
    assert histogram(points[:2], grid).max() == np.float32(2 / 3)


def test_every_cap_divides_as_the_originals_float64_does() -> None:
    for cap in range(1, 256):
        tally = np.arange(cap + 1, dtype=np.uint8)
        ours = np.divide(tally, np.float32(cap), dtype=np.float32)
        assert np.array_equal(ours, (tally.astype(np.float64) / cap).astype(np.float32))


@settings(max_examples=60)
@given(
    px_per_m=st.sampled_from([0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 8.0, 10.0]),
    seed=st.integers(0, 2**32 - 1),
    layout=st.sampled_from(["ahead_up", "cvpr2021", "carla_garage", "navsim"]),
)
def test_any_grid_counts_like_histogramdd(px_per_m: float, seed: int, layout: str) -> None:
    grid = BevGrid.model_validate(
        {"px_per_m": px_per_m, "layout": layout, "x_max_m": 16, "y_min_m": -8, "y_max_m": 8, "split_z_m": -50}
    )
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform((-2, -10, 0), (18, 10, 1), (300, 3)), 1)
    rows = {"ahead_up": (-points[:, 0], (-16, 0)), "carla_garage": (-points[:, 1], (-8, 8))}.get(layout)
    rows = rows or ((points[:, 1], (-8, 8)) if layout == "cvpr2021" else (points[:, 0], (0, 16)))
    columns = {"cvpr2021": (-points[:, 0], (-16, 0)), "carla_garage": (points[:, 0], (0, 16))}.get(layout)
    columns = columns or (points[:, 1], (-8, 8))
    edges = [np.linspace(*axis[1], int((axis[1][1] - axis[1][0]) * px_per_m) + 1) for axis in (rows, columns)]
    expected = np.minimum(np.histogramdd(np.stack([rows[0], columns[0]], axis=1), bins=edges)[0], 5)
    if layout == "ahead_up":
        expected = expected[:, ::-1]
    assert np.array_equal(counts(points, grid)[0], expected)


def test_a_cloud_longer_than_one_chunk_is_counted_whole() -> None:
    points = np.tile(np.array([[5.1, 0.1, 0.0], [9.1, 3.1, -2.0]], np.float32), (40_000, 1))
    points[::2, 0] += np.arange(40_000) % 16
    assert np.array_equal(counts(points, BevGrid()) > 0, counts(points[:64], BevGrid()) > 0)


def test_points_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        counts(np.zeros((5, 2), np.float32), BevGrid())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_max_m": -1.0}, "x_max_m"),
        ({"px_per_m": 0.3}, "whole cells"),
        ({"px_per_m": 100.0}, "at most 2 million"),
    ],
)
def test_a_grid_that_cannot_be_says_which_setting_is_wrong(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BevGrid.model_validate(change)
