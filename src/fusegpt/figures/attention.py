"""`draw_attention`: which parts of the image a cell of the LiDAR's map attends to, head by head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fusegpt.data.lidar import BevGrid
from fusegpt.figures.scene import show_bev, show_image
from fusegpt.figures.style import HEAT, INK, LABEL_PT, MUTED, PREDICTION, SMALL_PT, TITLE_PT, Sheet

Floats = NDArray[np.floating[Any]]

IMAGE_PX, MARGIN_PX, GAP_PX, TOP_PX, HEAD_PX, FOOT_PX = 860, 24, 14, 82, 28, 56
FAINTEST = 0.25
BEV_LEFT_PX = MARGIN_PX + IMAGE_PX + 84


def draw_attention(
    image: NDArray[np.uint8],
    lidar: Floats,
    grid: BevGrid,
    cell: tuple[float, float, float, float],
    attention: Floats,
    path: Path,
    *,
    title: str = "",
) -> Path:
    """A PNG: the image under the attention of one LiDAR token, mean and per head; the token's cell from above.

    cell: the ground of the token, (x_min, x_max, y_min, y_max) in metres.
    attention: (nh, rows, columns) over the image's tokens, not negative.
    """
    if attention.ndim != 3:
        raise ValueError(f"attention: must be (heads, rows, columns), not {attention.shape}")
    image_px = round(IMAGE_PX * image.shape[0] / image.shape[1])
    heads = _head_boxes(len(attention), image_px, image.shape[0] / image.shape[1])
    below = heads[-1][1] + heads[-1][3]
    sheet = Sheet(round(BEV_LEFT_PX + below - TOP_PX + MARGIN_PX), round(below + FOOT_PX))
    sheet.text(MARGIN_PX, 38, title or "Attention of one LiDAR cell to the image", size=TITLE_PT, weight="bold")
    (mean, *each), most = _beyond_even(np.concatenate([attention.mean(axis=0, keepdims=True), attention]))
    said = f"colour: more than an even share of its attention to the image, up to {most:.1f} times as much"
    sheet.text(MARGIN_PX, 62, f"{said}; above all heads together, below one by one", size=SMALL_PT, color=MUTED)
    _overlay(sheet.axes(MARGIN_PX, TOP_PX, IMAGE_PX, image_px), image, mean)
    for head, (weights, heat, box) in enumerate(zip(attention, each, heads, strict=True), start=1):
        sheet.text(box[0], box[1] - 6, f"head {head}: {weights.sum():.0%} on the image", size=SMALL_PT)
        _overlay(sheet.axes(*box), image, heat)
    bev = sheet.axes(BEV_LEFT_PX, TOP_PX, below - TOP_PX, below - TOP_PX)
    show_bev(bev, lidar, grid)
    _mark(bev, cell)
    return sheet.save(path)


def _head_boxes(count: int, image_px: int, aspect: float) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height in pixels of each head's small picture, up to four a row."""
    per_row = min(count, 4)
    width = (IMAGE_PX - (per_row - 1) * GAP_PX) / per_row
    boxes = []
    for head in range(count):
        row, column = divmod(head, per_row)
        top = TOP_PX + image_px + HEAD_PX + row * (width * aspect + HEAD_PX)
        boxes.append((MARGIN_PX + column * (width + GAP_PX), top, width, width * aspect))
    return boxes


def _beyond_even(weights: Floats) -> tuple[Floats, float]:
    """0 where a token gets an even share or less, 1 where it gets most; and how many even shares the most is.

    Attention that is nowhere a quarter more than even is drawn no stronger than it is.
    """
    even = np.maximum(weights.mean(axis=(1, 2), keepdims=True), 1e-12)
    beyond = np.maximum(weights / even - 1, 0)
    most = float(beyond.max())
    return np.asarray(beyond / max(most, FAINTEST)), 1 + most


def _overlay(axes: Axes, image: NDArray[np.uint8], heat: Floats) -> None:
    """Heat, 0 to 1, over the image in grey, each token's part of the image under its own cell."""
    height, width = image.shape[:2]
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    show_image(axes, grey)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    opacity = np.clip(1.2 * heat, 0, 0.75)
    axes.imshow(
        0.4 + 0.55 * heat, cmap=HEAT, alpha=opacity, extent=extent, vmin=0, vmax=1, interpolation="bilinear",
        aspect="auto",
    )  # fmt: skip


def _mark(axes: Axes, cell: tuple[float, float, float, float]) -> None:
    x_min, x_max, y_min, y_max = cell
    box = Rectangle((y_min, x_min), y_max - y_min, x_max - x_min, facecolor=PREDICTION, alpha=0.35, zorder=4)
    axes.add_patch(box)
    edge = Rectangle((y_min, x_min), y_max - y_min, x_max - x_min, fill=False, edgecolor=PREDICTION, lw=2, zorder=5)
    axes.add_patch(edge)
    axes.set_title("the attending cell", fontsize=LABEL_PT, color=INK, loc="left")
