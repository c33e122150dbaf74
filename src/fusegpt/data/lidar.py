"""Point cloud -> bird's-eye-view histogram, cell for cell what the originals compute.

The originals count with `np.histogramdd`, once for each side of a height split, cut at 5 points a cell and divide
by 5 (Chitta et al., CVPR 2021 and PAMI 2022; carla_garage; NAVSIM). Here a point becomes one number, its cell over
all channels, by arithmetic that is exact in the points' own precision, and all are counted at once.

Shapes: N points, C channels, H rows, W columns.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fusegpt.config import Config

Points = NDArray[np.floating[Any]]

# Points at a time: their intermediate values stay in the processor's cache and on already mapped pages.
CHUNK = 32_768


class Axis(NamedTuple):
    """Which coordinate an index of the grid grows along.

    A bin is closed at its lower end of `sign * coordinate` (the last one at both ends); `mirrored` turns the
    indices round afterwards, which leaves the closed ends where they were.
    """

    coordinate: Literal["x", "y"]
    sign: int
    mirrored: bool = False


# (rows, columns). The originals' frames differ from ours, so signs and mirrors say which end of a bin is closed.
LAYOUTS: MappingProxyType[str, tuple[Axis, Axis]] = MappingProxyType(
    {
        "ahead_up": (Axis("x", -1), Axis("y", +1, mirrored=True)),
        "cvpr2021": (Axis("y", +1), Axis("x", -1)),
        "carla_garage": (Axis("y", -1), Axis("x", +1)),
        "navsim": (Axis("x", +1), Axis("y", +1)),
    }
)


class BevGrid(Config):
    """A grid over the ground plane: which points count, and into which cell."""

    x_min_m: float = Field(default=0.0, description="The near edge, metres ahead of the LiDAR.")
    x_max_m: float = Field(default=32.0, description="The far edge, metres ahead of the LiDAR.")
    y_min_m: float = Field(default=-16.0, description="The right edge (y points left), metres.")
    y_max_m: float = Field(default=16.0, description="The left edge, metres.")
    px_per_m: float = Field(default=4.0, gt=0, description="Cells per metre.")
    y_cells: int = Field(default=0, ge=0, description="Cells from right to left; 0 follows px_per_m.")
    split_z_m: float = Field(default=-1.4, description="Height that parts the channels, metres in the sample's frame.")
    max_z_m: float = Field(default=100.0, description="Points at or above this height do not count.")
    max_points_per_cell: int = Field(default=5, ge=1, le=255, description="Counts are cut here, then divided by it.")
    heights: Literal["above_below", "below_above", "above"] = Field(
        default="above_below", description="The channels: points above the split, points at it or below."
    )
    layout: Literal["ahead_up", "cvpr2021", "carla_garage", "navsim"] = Field(
        default="ahead_up", description="Where the rows and columns point; ahead_up has far ahead in row 0, left first."
    )

    @property
    def channels(self) -> int:
        """Above and below the split, or above alone."""
        return 1 if self.heights == "above" else 2

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the histogram."""
        rows, columns = LAYOUTS[self.layout]
        return self.channels, self.cells(rows.coordinate), self.cells(columns.coordinate)

    @property
    def lateral_axis(self) -> int:
        """Which axis of (C, H, W) runs from side to side."""
        return 1 if LAYOUTS[self.layout][0].coordinate == "y" else 2

    def cells(self, coordinate: Literal["x", "y"]) -> int:
        """How many cells lie along a coordinate."""
        if coordinate == "y" and self.y_cells:
            return self.y_cells
        low, high = self.range_m(coordinate)
        return round((high - low) * self.px_per_m)

    def range_m(self, coordinate: Literal["x", "y"]) -> tuple[float, float]:
        """Both ends of a coordinate in metres."""
        return (self.x_min_m, self.x_max_m) if coordinate == "x" else (self.y_min_m, self.y_max_m)

    @model_validator(mode="after")
    def _spans(self) -> BevGrid:
        for coordinate in ("x", "y"):
            low, high = self.range_m(coordinate)
            if not high > low:
                raise ValueError(f"{coordinate}_max_m ({high}) must be above {coordinate}_min_m ({low})")
            fitted = coordinate == "y" and self.y_cells
            if not fitted and abs((high - low) * self.px_per_m - self.cells(coordinate)) > 1e-6:
                raise ValueError(
                    f"px_per_m ({self.px_per_m}) must part {coordinate}_min_m..{coordinate}_max_m ({low}..{high}) "
                    "into whole cells"
                )
        if not 1 <= self.shape[1] * self.shape[2] <= 2_000_000:
            raise ValueError(
                f"px_per_m ({self.px_per_m}) makes {self.shape[1]} x {self.shape[2]} cells; at most 2 million"
            )
        return self


# The grids of the originals. Heights are theirs: relative to the sensor in 2021 and 2022, to the ego's origin in
# carla_garage and NAVSIM; for samples in the LiDAR's frame lower those two by the height at which it is mounted.
PRESETS: MappingProxyType[str, BevGrid] = MappingProxyType(
    {
        "cvpr2021": BevGrid(
            # The original's lateral edges are linspace(-32, 33, 257).
            y_min_m=-32, y_max_m=33, y_cells=256, px_per_m=8, split_z_m=-2.0, max_z_m=1e6,
            heights="below_above", layout="cvpr2021",
        ),
        "pami2022": BevGrid(px_per_m=8, split_z_m=-2.3, max_z_m=1e6),
        "carla_garage": BevGrid(
            x_min_m=-32, y_min_m=-32, y_max_m=32, split_z_m=0.2, heights="above", layout="carla_garage"
        ),
        "navsim": BevGrid(x_min_m=-32, y_min_m=-32, y_max_m=32, split_z_m=0.2, heights="above", layout="navsim"),
    }
)  # fmt: skip


def histogram(points: Points, grid: BevGrid) -> NDArray[np.float32]:
    """Points (N, >=3) x forward, y left, z up, metres -> (C, H, W) in 0..1: min(count, cap) / cap.

    Points that are not finite or lie outside the grid do not count. Raises ValueError where the shape is wrong.
    """
    return np.divide(counts(points, grid), np.float32(grid.max_points_per_cell), dtype=np.float32)


def counts(points: Points, grid: BevGrid) -> NDArray[np.uint8]:
    """The same before the division: (C, H, W), each min(count, cap)."""
    if points.ndim != 2 or points.shape[1] < 3:
        raise ValueError(f"points must be (N, 3) or wider, not {points.shape}")
    if points.dtype not in (np.float32, np.float64):
        points = points.astype(np.float32)
    channels, height, width = grid.shape
    # A border of one cell all round takes what lies outside, so that nothing has to be filtered first.
    tally = np.zeros(2 * (height + 2) * (width + 2), np.int32)
    for start in range(0, len(points), CHUNK):
        np.add.at(tally, _cells_of(points[start : start + CHUNK], grid), np.int32(1))
    np.minimum(tally, grid.max_points_per_cell, out=tally)
    return tally.reshape(2, height + 2, width + 2)[:channels, 1:-1, 1:-1].astype(np.uint8)


def _cells_of(points: Points, grid: BevGrid) -> NDArray[np.intp]:
    """Each point's index into (2, H + 2, W + 2) flattened; what does not count lies on the border."""
    _, height, width = grid.shape
    row, column = (_Bins.along(axis, grid) for axis in LAYOUTS[grid.layout])
    row_step = -(width + 2) if row.mirrored else width + 2
    cell = row.of(points)
    cell *= row_step
    if column.mirrored:
        cell -= column.of(points)
    else:
        cell += column.of(points)
    cell += row.offset * abs(row_step) + column.offset
    z = np.ascontiguousarray(points[:, 2])
    second = z > grid.split_z_m if grid.heights == "below_above" else z <= grid.split_z_m
    cell += second * cell.dtype.type((height + 2) * (width + 2))
    cell *= z < grid.max_z_m
    # A coordinate that is not a number makes the cell none: it goes to the border too.
    np.fmax(cell, 0, out=cell)
    return cell.astype(np.intp)


class _Bins(NamedTuple):
    """The bins along one axis of the grid, in the direction in which they are closed at the lower end."""

    column: int
    sign: int
    low: float
    high: float
    n: int
    mirrored: bool

    @classmethod
    def along(cls, axis: Axis, grid: BevGrid) -> _Bins:
        low, high = sorted(axis.sign * end for end in grid.range_m(axis.coordinate))
        column = 0 if axis.coordinate == "x" else 1
        return cls(column, axis.sign, low, high, grid.cells(axis.coordinate), axis.mirrored)

    @property
    def scale(self) -> float:
        return self.n / (self.high - self.low)

    @property
    def exact(self) -> bool:
        """Scaling by a power of two rounds nothing: bins with whole edges are found without looking at the edges."""
        return math.frexp(self.scale)[0] == 0.5 and self.scale >= 1 and (self.low * self.scale).is_integer()

    @property
    def first(self) -> float:
        """The number that `of` gives to the first bin."""
        return self.low * self.scale if self.exact else 0.0

    @property
    def offset(self) -> float:
        """What turns `of` (negated where mirrored) into an index that begins at 1."""
        return self.n + self.first if self.mirrored else 1 - self.first

    def of(self, points: Points) -> Points:
        """Each point's bin: first..first+n-1, one less or more outside, NaN for NaN."""
        values = points[:, self.column]
        return self._whole(values) if self.exact else self._compared(values)

    def _whole(self, values: Points) -> Points:
        with np.errstate(over="ignore"):
            scaled = values * (self.sign * self.scale)
        at_end = scaled == self.first + self.n
        np.floor(scaled, out=scaled)
        if at_end.any():
            scaled[at_end] -= 1  # the last bin is closed
        np.clip(scaled, self.first - 1, self.first + self.n, out=scaled)
        return scaled

    def _compared(self, values: Points) -> NDArray[np.float64]:
        """Guess by arithmetic, then compare with the guessed bin's own edges, in float64 as the originals do."""
        wide = self.sign * values.astype(np.float64)
        edges = np.concatenate([[-np.inf], np.linspace(self.low, self.high, self.n + 1), [np.nan]])
        edges[-2] = np.nextafter(self.high, np.inf)  # the last bin is closed
        guess = np.fmax(np.clip(np.floor((wide - self.low) * self.scale), -1, self.n), -1).astype(np.intp)
        guess += wide >= edges[guess + 2]
        guess -= wide < edges[guess + 1]
        bins: NDArray[np.float64] = guess.astype(np.float64)
        return bins
