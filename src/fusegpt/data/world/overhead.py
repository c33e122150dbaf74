"""The map seen from above: the class of each cell of the LiDAR's grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.lidar import LAYOUTS, Axis, BevGrid
from fusegpt.data.world.ground import Ground
from fusegpt.data.world.path import Floats
from fusegpt.data.world.solids import Solids
from fusegpt.data.world.surface import Surface, known


def overhead(grid: BevGrid, pose: Floats, solids: Solids, ground: Ground) -> NDArray[np.uint8]:
    """(H, W) of `Surface` up to VEHICLE, cell for cell the histogram's grid. `solids` are in the frame."""
    rows, columns = LAYOUTS[grid.layout]
    down, across = _centres(rows, grid)[:, None], _centres(columns, grid)[None]
    x, y = (down, across) if rows.coordinate == "x" else (across, down)
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    codes = known(ground.surface(pose[0] + cos * x - sin * y, pose[1] + sin * x + cos * y), Surface.VEHICLE)
    for cx, cy, half_x, half_y, yaw in _footprints(solids):
        cos, sin = np.cos(yaw), np.sin(yaw)
        forward, left = cos * (x - cx) + sin * (y - cy), cos * (y - cy) - sin * (x - cx)
        codes[(np.abs(forward) <= half_x) & (np.abs(left) <= half_y)] = Surface.VEHICLE
    return codes


def _centres(axis: Axis, grid: BevGrid) -> Floats:
    """Metres at the middle of each cell along one index of the grid."""
    low, high = grid.range_m(axis.coordinate)
    cells = grid.cells(axis.coordinate)
    centres = low + (np.arange(cells) + 0.5) * (high - low) / cells
    return centres[::-1] if (axis.sign > 0) == axis.mirrored else centres


def _footprints(solids: Solids) -> Floats:
    cars = solids.take(solids.surface == Surface.VEHICLE)
    return np.column_stack([cars.centre[:, :2], cars.half[:, :2], cars.yaw])
