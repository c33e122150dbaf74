"""`draw_sample`: a raw sample: its image, the sweep in the image by range, and from above."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from fusegpt.data.lidar import BevGrid, histogram
from fusegpt.data.sample import Sample
from fusegpt.figures.scene import on_ground, project, show_bev, show_image
from fusegpt.figures.style import INK, LABEL_PT, SMALL_PT, TARGET, TITLE_PT, TRUTH, Sheet, range_colours

IMAGE_PX, MARGIN_PX, GAP_PX, TOP_PX, BAR_PX, FOOT_PX = 900, 24, 14, 58, 12, 56
FARTHEST_M = 50.0


def draw_sample(sample: Sample, grid: BevGrid, path: Path, *, title: str = "") -> Path:
    """A PNG: the image above, the same with the sweep's points coloured by range below, the histogram beside."""
    height, width = sample.image.shape[:2]
    image_px = round(IMAGE_PX * height / width)
    both = 2 * image_px + GAP_PX
    bev_px = min(both, 760)
    sheet = Sheet(MARGIN_PX + IMAGE_PX + 80 + bev_px + MARGIN_PX, TOP_PX + both + FOOT_PX)
    sheet.text(MARGIN_PX, 38, title or _caption(sample), size=TITLE_PT, weight="bold")
    show_image(sheet.axes(MARGIN_PX, TOP_PX, IMAGE_PX, image_px), sample.image)
    below = sheet.axes(MARGIN_PX, TOP_PX + image_px + GAP_PX, IMAGE_PX, image_px)
    show_image(below, sample.image // 3 + 20)
    _show_sweep(sheet, below, sample, TOP_PX + both + 16)
    bev = sheet.axes(MARGIN_PX + IMAGE_PX + 80, TOP_PX, bev_px, both)
    show_bev(bev, histogram(sample.sweep, grid), grid)
    x, y = sample.waypoints.T
    bev.plot(y, x, "o-", color=TRUTH, markeredgecolor="white", zorder=4)
    x, y = sample.target_point
    bev.scatter(y, x, marker="D", s=52, color=TARGET, edgecolors=INK, linewidths=0.9, zorder=5)
    return sheet.save(path)


def _caption(sample: Sample) -> str:
    speed = f"{sample.speed_mps:.1f} m/s"
    return f"{sample.drive}, {sample.time_s:.1f} s   ·   {speed}   ·   {len(sample.sweep):,} points"


def _show_sweep(sheet: Sheet, axes: Axes, sample: Sample, bar_top: float) -> None:
    """The points that the camera can see, the far ones first; their scale of colours below."""
    pixels = project(sample.projection, sample.sweep[:, :3])
    height, width = sample.image.shape[:2]
    inside = ((pixels > -0.5) & (pixels < np.array([width, height]) - 0.5)).all(axis=1)
    distance = np.linalg.norm(sample.sweep[inside, :3], axis=1)
    order = np.argsort(-distance)
    u, v = pixels[inside][order].T
    size = min(6.0, 24_000 / max(len(u), 1))  # a dense sweep must not hide its own lines
    dots = axes.scatter(u, v, c=distance[order], s=size, cmap=range_colours(), vmin=0, vmax=FARTHEST_M, linewidths=0)
    target = project(sample.projection, on_ground(sample.target_point[None]))[0]
    axes.scatter(target[0], target[1], marker="D", s=52, color=TARGET, edgecolors=INK, linewidths=0.9)
    bar = sheet.axes(MARGIN_PX, bar_top, 260, BAR_PX)
    sheet.figure.colorbar(dots, cax=bar, orientation="horizontal").outline.set_visible(False)
    bar.tick_params(labelsize=SMALL_PT, length=0)
    sheet.text(MARGIN_PX + 276, bar_top + BAR_PX, "range of the LiDAR's points, m", size=LABEL_PT)
