"""The pictures: they can be decoded, have the size that they should, show something, and show it at its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from fusegpt.data.lidar import BevGrid, histogram
from fusegpt.data.sample import Sample
from fusegpt.data.world.camera import Camera
from fusegpt.figures.attention import draw_attention
from fusegpt.figures.sample import draw_sample
from fusegpt.figures.scene import ahead_up, on_ground, project
from fusegpt.figures.search import TrialCurve, draw_search
from fusegpt.figures.style import PREDICTION, Sheet
from fusegpt.figures.waypoints import HEAD_PX, IMAGE_PX, MARGIN_PX, TOP_PX, Drawn, draw_waypoints

CAMERA = Camera(96, 320, 81.4)
GRID = BevGrid()
WAYPOINTS = np.array([[3.0, 0.0], [6.0, 0.2], [9.0, 0.6], [12.0, 1.2]], np.float32)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def item(**changes: object) -> Drawn:
    rng = np.random.default_rng(0)
    image = np.full((96, 320, 3), 90, np.uint8)
    lidar = (rng.random(GRID.shape) > 0.9).astype(np.float32)
    drawn = {"image": image, "lidar": lidar, "grid": GRID, "prediction": WAYPOINTS, "projection": CAMERA.projection}
    return Drawn(**{**drawn, **changes})  # type: ignore[arg-type]


def sample() -> Sample:
    rng = np.random.default_rng(0)
    ground = np.column_stack([rng.uniform(-30, 30, (4000, 2)), np.full(4000, -1.73), rng.random(4000)])
    return Sample(
        "a drive", 3, 1.5, np.full((96, 320, 3), 90, np.uint8), ground.astype(np.float32), 6.0,
        np.array([20.0, 1.0], np.float32), WAYPOINTS, CAMERA.projection,
    )  # fmt: skip


def trials() -> list[TrialCurve]:
    return [
        TrialCurve(n, {"model.n_head": 2**n, "model.norm": ["layernorm", "rmsnorm"][n % 2], "training.lr": 0.1**n},
                   [1, 2, 3], [1.0 / n, 0.9 / n, 0.8 / n], "stopped" if n == 2 else "finished")
        for n in (1, 2, 3)
    ]  # fmt: skip


PICTURES: dict[str, Callable[[Path], Path]] = {
    "one sample's waypoints": lambda path: draw_waypoints([item()], path),
    "a sheet of waypoints": lambda path: draw_waypoints(
        [item(truth=WAYPOINTS + 0.3, baseline=WAYPOINTS * 0.9)] * 6, path
    ),
    "a request without projection": lambda path: draw_waypoints([item(projection=None)], path),
    "a sample": lambda path: draw_sample(sample(), GRID, path),
    "attention": lambda path: draw_attention(
        item().image, item().lidar, GRID, (8, 12, 0, 4), np.random.default_rng(0).random((4, 3, 10)), path
    ),
    "a search": lambda path: draw_search(trials(), path, metric="val/ade_m", baseline=0.9),
    "a search of one trial": lambda path: draw_search(trials()[:1], path, metric="val/ade_m"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_that_shows_something_and_leaves_nothing_beside_it(name: str, tmp_path: Path) -> None:
    path = PICTURES[name](tmp_path / "folder" / "picture.png")
    shown = pixels(path)
    assert 900 < shown.shape[1] < 2600
    assert 250 < shown.shape[0] < 2600
    assert shown.std() > 10
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


def test_a_sheet_has_the_size_that_it_was_asked_for(tmp_path: Path) -> None:
    assert pixels(Sheet(431, 277).save(tmp_path / "empty.png")).shape == (277, 431, 3)


def test_a_waypoint_is_drawn_on_its_pixel(tmp_path: Path) -> None:
    shown = pixels(draw_waypoints([item()], tmp_path / "picture.png"))
    u, v = project(CAMERA.projection, on_ground(WAYPOINTS[-1:]))[0]
    scale = IMAGE_PX / 320
    column, row = MARGIN_PX + (u + 0.5) * scale, TOP_PX + HEAD_PX + (v + 0.5) * scale
    expected = 255 * np.array(to_rgb(PREDICTION))
    np.testing.assert_allclose(shown[round(row), round(column)], expected, atol=3)


def test_projecting_a_point_is_the_pinholes_formula() -> None:
    x, y, z = 10.0, 2.0, -1.0
    u, v = project(CAMERA.projection, np.array([[x, y, z]]))[0]
    assert u == pytest.approx(159.5 - CAMERA.focal_px * (y - 0.06) / (x - 0.27), abs=1e-3)
    assert v == pytest.approx(95 * 0.46 - CAMERA.focal_px * (z + 0.08) / (x - 0.27), abs=1e-3)


def test_what_is_behind_the_camera_has_no_pixel() -> None:
    assert np.isnan(project(CAMERA.projection, np.array([[-5.0, 0.0, 0.0]]))).all()


@pytest.mark.parametrize("layout", ["ahead_up", "cvpr2021", "carla_garage", "navsim"])
def test_a_histogram_of_any_layout_is_shown_ahead_up_and_left_to_the_left(layout: str) -> None:
    grid = BevGrid(layout=layout)  # type: ignore[arg-type]
    ahead_left = np.array([[30.0, 14.0, 0.0, 0.0]], np.float32)
    shown = ahead_up(histogram(ahead_left, grid), grid)
    _, row, column = np.argwhere(shown > 0)[0]
    assert row < 12
    assert column < 12


def test_a_failed_trial_takes_no_part_in_a_picture_of_a_search(tmp_path: Path) -> None:
    failed = TrialCurve(9, {"model.n_head": 16}, [1], [float("nan")], "failed")
    assert draw_search([*trials(), failed], tmp_path / "search.png", metric="val/ade_m").exists()
    with pytest.raises(ValueError, match="none of 1 has a value of val/ade_m"):
        draw_search([failed], tmp_path / "none.png", metric="val/ade_m")


def test_nothing_to_draw_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        draw_waypoints([], tmp_path / "none.png")


def test_attention_of_a_wrong_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"attention: must be \(heads, rows, columns\), not \(3, 10\)"):
        draw_attention(item().image, item().lidar, GRID, (8, 12, 0, 4), np.ones((3, 10)), tmp_path / "none.png")
