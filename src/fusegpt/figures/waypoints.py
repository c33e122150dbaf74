"""`draw_waypoints`: where the model would drive, where the driver drove, over the image and from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fusegpt.data.lidar import BevGrid
from fusegpt.figures.scene import GROUND_Z_M, on_ground, project, show_bev, show_image
from fusegpt.figures.style import (
    BASELINE,
    INK,
    LABEL_PT,
    PREDICTION,
    TARGET,
    TITLE_PT,
    TRUTH,
    Sheet,
)

Floats = NDArray[np.floating[Any]]

IMAGE_PX, GAP_PX, MARGIN_PX, HEAD_PX, FOOT_PX, TOP_PX = 860, 70, 24, 34, 46, 58
PATHS = {"truth": TRUTH, "baseline": BASELINE, "prediction": PREDICTION}
NAMES = {"truth": "driven", "baseline": "constant velocity", "prediction": "predicted", "target": "target point"}


@dataclass(frozen=True)
class Drawn:
    """One sample with its waypoints, each (T, 2) in metres, x forward and y left.

    image: (H, W, 3) uint8. lidar: (C, h, w) histogram of `grid`, 0..1. projection: (3, 4) into that image, without
    which only the view from above is drawn on. truth may be missing for a request that nobody drove.
    """

    image: NDArray[np.uint8]
    lidar: Floats
    grid: BevGrid
    prediction: Floats
    truth: Floats | None = None
    baseline: Floats | None = None
    target_point: Floats | None = None
    projection: Floats | None = None
    title: str = ""

    def paths(self) -> dict[str, Floats]:
        """What there is to draw, the prediction last and so on top."""
        return {name: value for name in PATHS if (value := getattr(self, name)) is not None}

    def error_m(self, name: str) -> float:
        """Mean distance of a path to the truth."""
        assert self.truth is not None
        return float(np.linalg.norm(getattr(self, name) - self.truth, axis=1).mean())


def draw_waypoints(items: Sequence[Drawn], path: Path, *, title: str = "", ground_z_m: float = GROUND_Z_M) -> Path:
    """A PNG with a row a sample (two columns from five samples on): its image, and its histogram beside."""
    if not items:
        raise ValueError("items: there is nothing to draw; give at least one sample")
    columns = 1 if len(items) < 5 else 2
    heights = [_row_px(item) for item in items]
    rows = [max(heights[i : i + columns]) for i in range(0, len(items), columns)]
    width = columns * (IMAGE_PX + GAP_PX + max(heights) + 2 * MARGIN_PX + 8)
    sheet = Sheet(width, TOP_PX + sum(rows) + len(rows) * (HEAD_PX + FOOT_PX))
    sheet.text(MARGIN_PX, 38, title or "Waypoints over the image and from above", size=TITLE_PT, weight="bold")
    sheet.legend(width - MARGIN_PX, 33, _marks(items))
    for number, item in enumerate(items):
        row, column = divmod(number, columns)
        top = TOP_PX + sum(rows[:row]) + row * (HEAD_PX + FOOT_PX)
        _draw_item(sheet, item, column * width / columns + MARGIN_PX, top, ground_z_m)
    return sheet.save(path)


def _row_px(item: Drawn) -> int:
    height, width = item.image.shape[:2]
    return int(min(round(IMAGE_PX * height / width), IMAGE_PX))


def _draw_item(sheet: Sheet, item: Drawn, left: float, top: float, ground_z_m: float) -> None:
    height = _row_px(item)
    sheet.text(left, top + HEAD_PX - 10, _caption(item), size=LABEL_PT)
    image = sheet.axes(left, top + HEAD_PX, IMAGE_PX, height)
    show_image(image, item.image)
    bev = sheet.axes(left + IMAGE_PX + GAP_PX, top + HEAD_PX, height, height)
    show_bev(bev, item.lidar, item.grid)
    for name, waypoints in item.paths().items():
        _draw_path(bev, waypoints[:, ::-1], np.vstack([[0, 0], waypoints])[:, ::-1], name, 1.7)
        if item.projection is not None:
            line = project(item.projection, on_ground(_dense(waypoints), ground_z_m))
            _draw_path(image, project(item.projection, on_ground(waypoints, ground_z_m)), line, name, 2.4)
    if item.target_point is not None:
        _draw_target(bev, item.target_point[::-1])
        if item.projection is not None:
            _draw_target(image, project(item.projection, on_ground(item.target_point[None], ground_z_m))[0])


def _caption(item: Drawn) -> str:
    parts = [item.title] if item.title else []
    if item.truth is not None:
        error = f"mean error {item.error_m('prediction'):.2f} m"
        if item.baseline is not None:
            error += f", constant velocity {item.error_m('baseline'):.2f} m"
        parts.append(error)
    return "   ·   ".join(parts)


def _dense(waypoints: Floats) -> Floats:
    """The path from the ego on, in steps so small that it looks right in perspective."""
    path = np.vstack([[0.0, 0.0], waypoints])
    at = np.linspace(0, len(path) - 1, 20 * len(path))
    return np.stack([np.interp(at, np.arange(len(path)), path[:, i]) for i in (0, 1)], axis=1)


def _draw_path(axes: Axes, dots: Floats, line: Floats, name: str, width: float) -> None:
    style = "--" if name == "baseline" else "-"
    axes.plot(line[:, 0], line[:, 1], color="white", linewidth=1.8 * width, alpha=0.9, zorder=4)
    axes.plot(line[:, 0], line[:, 1], style, color=PATHS[name], linewidth=width, zorder=4)
    size = (22 if name == "truth" else 14) * width
    axes.scatter(dots[:, 0], dots[:, 1], s=size, color=PATHS[name], edgecolors="white", linewidths=1.0, zorder=5)


def _draw_target(axes: Axes, at: Floats) -> None:
    axes.scatter(at[0], at[1], marker="D", s=52, color=TARGET, edgecolors=INK, linewidths=0.9, zorder=6)


def _marks(items: Sequence[Drawn]) -> list[Line2D]:
    """The legend of what these items have."""
    have = [name for name in PATHS if any(name in item.paths() for item in items)]
    marks = [
        Line2D([], [], color=PATHS[name], marker="o", linestyle="--" if name == "baseline" else "-", label=NAMES[name])
        for name in have
    ]
    if any(item.target_point is not None for item in items):
        marks.append(Line2D([], [], color=TARGET, marker="D", linestyle="", markeredgecolor=INK, label=NAMES["target"]))
    return marks
