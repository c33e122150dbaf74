"""The labels of TransFuser's CARLA data sets: depth, semantics and the map from above.

Classes are those that the original trains on (PAMI 2022): semantics 0 other, 1 vehicle, 2 road, 3 red or yellow light,
4 pedestrian, 5 road or stop line, 6 sidewalk; from above 0 other, 1 road, 2 lane marking.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.carla_layout import LIDAR_AHEAD_M, Camera, CarlaLayout
from fusegpt.data.lidar import LAYOUTS, Axis, BevGrid
from fusegpt.data.recording import BrokenFileError, read_image

# CARLA 0.9.10's class -> the original's; 23 and 24 are lights, 27 stop lines that the recorder drew in.
CLASS_OF = np.zeros(28, dtype=np.uint8)
CLASS_OF[[10, 7, 23, 24, 4, 6, 27, 8]] = [1, 2, 3, 3, 4, 5, 5, 6]

FARTHEST_M = 1000.0
TOPDOWN_PX = 500
TOPDOWN_PX_PER_M = 5.0
ROAD_BIT, LANE_BIT = 0x80, 0x40  # of the blue plane


def read_labels(
    folder: Path, moment: int, layout: CarlaLayout, camera: Camera, grid: BevGrid
) -> dict[str, NDArray[np.generic]]:
    """The labels whose folders the route has, by the names of `Sample.labels`. Raises BrokenFileError."""
    name, columns = f"{moment:04d}.png", layout.columns(camera)
    labels: dict[str, NDArray[np.generic]] = {}
    if (folder / layout.depth).is_dir():
        labels["depth_m"] = read_depth_m(folder / layout.depth / name, layout)[:, columns]
    if (folder / layout.semantics).is_dir():
        labels["semantics"] = read_semantics(folder / layout.semantics / name, layout)[:, columns]
    if layout.topdown is not None and (folder / layout.topdown).is_dir():
        labels["bev_semantics"] = read_topdown(folder / layout.topdown / f"encoded_{name}", grid)
    return labels


def read_depth_m(path: Path, layout: CarlaLayout) -> NDArray[np.float32]:
    """(H, W) metres. CARLA spreads 24 bits over the planes; the two recorders wrote them in opposite orders."""
    planes = read_image(path, layout.size).astype(np.float32)
    depth: NDArray[np.float32] = planes @ np.array(layout.depth_weights, dtype=np.float32) * (FARTHEST_M / (2**24 - 1))
    return depth


def read_semantics(path: Path, layout: CarlaLayout) -> NDArray[np.uint8]:
    """(H, W) of the seven classes."""
    tags = read_image(path, layout.size, mode="L")
    if tags.max() >= len(CLASS_OF):
        raise BrokenFileError(path, f"has class {tags.max()}; CARLA 0.9.10 and the recorder know 0 to 27")
    return CLASS_OF[tags]


def read_topdown(path: Path, grid: BevGrid) -> NDArray[np.uint8]:
    """(h, w) over the cells of `grid`: the class at each cell's centre.

    The image has 5 pixels a metre with the car in the middle, ahead at the top; the frame is the LiDAR's. The original
    moves it by whole pixels (7 = 1.4 m for 1.3 m); here a centre is looked up where it lies.
    """
    plane = read_image(path, (TOPDOWN_PX, TOPDOWN_PX))[:, :, 2]
    classes = np.where(plane & LANE_BIT, 2, np.where(plane & ROAD_BIT, 1, 0)).astype(np.uint8)
    rows, columns = LAYOUTS[grid.layout]
    along = {axis.coordinate: centres_m(grid, axis) for axis in (rows, columns)}
    middle = (TOPDOWN_PX - 1) / 2
    row = np.rint(middle - (along["x"] + LIDAR_AHEAD_M) * TOPDOWN_PX_PER_M).astype(int) + 1
    column = np.rint(middle - along["y"] * TOPDOWN_PX_PER_M).astype(int) + 1
    framed = np.pad(classes, 1)  # what lies outside of the image is "other"
    seen = framed[np.clip(row, 0, TOPDOWN_PX + 1)[:, None], np.clip(column, 0, TOPDOWN_PX + 1)]  # (x cells, y cells)
    return np.ascontiguousarray(seen if rows.coordinate == "x" else seen.T)


def centres_m(grid: BevGrid, axis: Axis) -> NDArray[np.float64]:
    """The coordinate of each cell's centre along an axis of the histogram, in the order of its indices."""
    low, high = grid.range_m(axis.coordinate)
    count = grid.cells(axis.coordinate)
    centres = low + (np.arange(count) + 0.5) * (high - low) / count
    return centres if (axis.sign > 0) != axis.mirrored else centres[::-1]
