"""`Ground`: what the ground is made of at any point: a map of the street, painted once a drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.path import Floats, Path
from fusegpt.data.world.road import Road
from fusegpt.data.world.surface import Surface

CELLS_PER_M = 10.0
SIDEWALK_M = 2.2
LINE_M = 0.2
MARGIN_M = 30.0


@dataclass(frozen=True)
class Ground:
    """codes: (rows, columns) uint8 of `Surface`, rows along y. Untouched pages of it cost no memory."""

    codes: NDArray[np.uint8]
    origin: Floats

    def surface(self, x: Floats, y: Floats) -> NDArray[np.uint8]:
        """The class at points of the world, any shape; background off the map."""
        west, south = (float(edge) for edge in self.origin)
        column = ((x - west) * CELLS_PER_M).astype(np.int32)
        row = ((y - south) * CELLS_PER_M).astype(np.int32)
        np.clip(column, 0, self.codes.shape[1] - 1, out=column)
        np.clip(row, 0, self.codes.shape[0] - 1, out=row)
        return np.asarray(self.codes[row, column])


def pave(road: Road, stop_lines_m: Floats) -> Ground:
    """Paint the street with its cross streets. `stop_lines_m`: stations of the stop lines on the centreline."""
    streets = road.streets()
    low, high = streets.min(axis=0) - MARGIN_M, streets.max(axis=0) + MARGIN_M
    columns, rows = ((high - low) * CELLS_PER_M).astype(int)
    ground = Ground(np.zeros((rows, columns), np.uint8), low)
    half = road.half_width_m
    for junction in road.junctions:
        for arm in junction.arms:
            _paint(ground, arm, half, _markings(road, arm, bare=[(0.0, half + 1.0)], stops=[]))
    turns = [(j.start_m - 2.0, j.end_m + 2.0) for j in road.junctions]
    _paint(ground, road.centreline, half, _markings(road, road.centreline, turns, list(stop_lines_m)))
    return ground


def _stations(path: Path, half: float) -> tuple[Floats, Floats]:
    """Where to put paint: closer than a cell along (the outside of a sharp turn is longer) and across."""
    s = np.arange(0.0, path.length_m, 0.5 / CELLS_PER_M)
    d = np.arange(-half - SIDEWALK_M, half + SIDEWALK_M, 0.7 / CELLS_PER_M)
    return s, d


def _markings(road: Road, path: Path, bare: list[tuple[float, float]], stops: list[float]) -> NDArray[np.uint8]:
    """The classes over stations and offsets, (S, D). Nothing is marked, and no kerb is raised, where it is `bare`."""
    half = road.half_width_m
    s, d = _stations(path, half)
    codes = np.where(np.abs(d) > half, Surface.SIDEWALK, Surface.ROAD).astype(np.uint8)
    codes = np.broadcast_to(codes, (len(s), len(d))).copy()
    edges = np.abs(np.abs(d) - (half - 0.25)) < LINE_M / 2
    codes[:, edges] = Surface.MARKING
    dashes = (s % 6.0 < 3.0)[:, None]
    for line in np.arange(1 - road.lanes_each_way, road.lanes_each_way) * road.lane_width_m:
        on_line = (np.abs(d - line) < LINE_M / 2)[None]
        solid = line == 0.0 and road.lanes_each_way > 1
        codes[on_line & (dashes | solid)] = Surface.MARKING
    for start, end in bare:
        inside = (s >= start) & (s <= end)
        codes[np.ix_(inside, np.abs(d) <= half)] = Surface.ROAD
        codes[np.ix_(inside, np.abs(d) > half)] = Surface.BACKGROUND
    for stop in stops:
        codes[np.ix_(np.abs(s - stop) < 0.25, (d < -0.2) & (d > 0.4 - half))] = Surface.MARKING
    return codes


def _paint(ground: Ground, path: Path, half: float, codes: NDArray[np.uint8]) -> None:
    """Put the classes of a strip along `path` onto the map; background stays what it was."""
    s, d = _stations(path, half)
    x, y, heading = path.at(s).T
    column = ((x[:, None] - d * np.sin(heading)[:, None] - ground.origin[0]) * CELLS_PER_M).astype(np.int32)
    row = ((y[:, None] + d * np.cos(heading)[:, None] - ground.origin[1]) * CELLS_PER_M).astype(np.int32)
    seen = codes != Surface.BACKGROUND
    ground.codes[row[seen], column[seen]] = codes[seen]
