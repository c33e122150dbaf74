"""The two views that the pictures share: a camera image, and the LiDAR's histogram seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fusegpt.data.lidar import LAYOUTS, Axis, BevGrid
from fusegpt.figures.style import ABOVE, BELOW, INK, LABEL_PT, PAPER

Floats = NDArray[np.floating[Any]]

# The ground under KITTI's LiDAR, and the world's.
GROUND_Z_M = -1.73
NEAR_M = 0.3


def project(projection: Floats, points: Floats) -> Floats:
    """Points (N, 3) of the frame -> pixels (N, 2), u right and v down; NaN for what is not before the camera."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ np.asarray(projection, float).T
    depth = np.where(homogeneous[:, 2:] > NEAR_M, homogeneous[:, 2:], np.nan)
    return np.asarray(homogeneous[:, :2] / depth)


def on_ground(points: Floats, ground_z_m: float = GROUND_Z_M) -> Floats:
    """Points (N, 2) of the ground plane -> (N, 3)."""
    return np.column_stack([points, np.full(len(points), ground_z_m)])


def ahead_up(lidar: Floats, grid: BevGrid) -> Floats:
    """A histogram (C, H, W) of any layout -> far ahead in row 0, left in column 0."""
    rows, columns = LAYOUTS[grid.layout]
    if rows.coordinate == "y":
        lidar, rows, columns = lidar.swapaxes(1, 2), columns, rows
    return lidar[:, :: 1 if _falls(rows) else -1, :: 1 if _falls(columns) else -1]


def _falls(axis: Axis) -> bool:
    """Whether the coordinate falls as the index grows."""
    return (axis.sign > 0) == axis.mirrored


def show_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """The image, edge to edge; a pixel's centre is at whole numbers."""
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="bilinear", aspect="auto")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])


def show_bev(axes: Axes, lidar: Floats, grid: BevGrid) -> None:
    """The histogram on light paper, ahead up and left to the left, the ego at its place, axes in metres."""
    seen = np.asarray(ahead_up(lidar, grid), float)
    above, below = (seen[0], seen[-1]) if grid.heights != "below_above" else (seen[-1], seen[0])
    colour = np.ones((*above.shape, 3)) * to_rgb(PAPER)
    if grid.channels > 1:
        colour += np.sqrt(below)[..., None] * (np.array(to_rgb(BELOW)) - colour)
    colour += np.sqrt(above)[..., None] * (np.array(to_rgb(ABOVE)) - colour)
    extent = (grid.y_max_m, grid.y_min_m, grid.x_min_m, grid.x_max_m)
    axes.imshow(colour, extent=extent, interpolation="nearest", aspect="auto")
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.add_patch(Rectangle((-0.9, -0.9), 1.8, 4.4, facecolor=INK, alpha=0.85, linewidth=0, zorder=3))
    axes.set_xlabel("left, m", fontsize=LABEL_PT, color=INK, labelpad=2)
    axes.set_ylabel("ahead, m", fontsize=LABEL_PT, color=INK, labelpad=2)
    axes.set_xticks(np.linspace(*extent[:2], 5))
    axes.set_yticks(np.linspace(*extent[2:], 5))
