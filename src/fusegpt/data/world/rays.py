"""`cast`: rays against solids, all at once: every solid against the window of the ray grid that it can be in.

The camera and the LiDAR are both grids of rays from one point; they differ in how a solid's window is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.solids import Solids

Singles = NDArray[np.float32]
Indices = NDArray[np.int32]


@dataclass(frozen=True)
class Hits:
    """The nearest solid along each ray of a grid of R rays.

    distance: (R,) in lengths of the ray's direction, inf where there is none. ray, solid: (K,) which rays hit what.
    local: (K, 3) where on the solid, in its own axes, -1..1.
    """

    distance: Singles
    ray: Indices
    solid: Indices
    local: Singles


def cast(origin: Singles, directions: Singles, solids: Solids, windows: Indices) -> Hits:
    """Nearest hits of the rays from `origin`, (rows, columns, 3), on `solids`, both in one frame.

    windows: (N, 4) first row, end row, first column, end column; columns wrap around, so that an end may lie beyond.
    """
    rows, columns = directions.shape[:2]
    solid, ray = _pairs(windows, columns)
    start, step = _into_unit_space(origin, directions.reshape(-1, 3), solids, solid, ray)
    distance = _cube(start, step)
    balls = np.flatnonzero(solids.round[solid])
    distance[balls] = _sphere(start[:, balls], step[:, balls])
    nearest = np.full(rows * columns, np.inf, np.float32)
    np.minimum.at(nearest, ray, distance)
    won = np.flatnonzero((distance == nearest[ray]) & (distance < np.inf))
    local = start[:, won] + step[:, won] * distance[won]
    return Hits(nearest, ray[won], solid[won], local.T)


def _pairs(windows: Indices, columns: int) -> tuple[Indices, Indices]:
    """Each solid with each ray of its window: two arrays (P,)."""
    height = np.maximum(windows[:, 1] - windows[:, 0], 0)
    width = np.clip(windows[:, 3] - windows[:, 2], 0, columns)
    count = height * width
    solid = np.repeat(np.arange(len(windows), dtype=np.int32), count)
    within = np.arange(len(solid), dtype=np.int32) - np.repeat(np.cumsum(count) - count, count).astype(np.int32)
    across = np.maximum(width, 1)[solid]
    row, column = within // across, within % across
    return solid, ((windows[solid, 0] + row) * columns + (windows[solid, 2] + column) % columns).astype(np.int32)


def _into_unit_space(
    origin: Singles, directions: Singles, solids: Solids, solid: Indices, ray: Indices
) -> tuple[Singles, Singles]:
    """Start and direction of each pair's ray where its solid is the cube or the sphere from -1 to 1: (3, P) each."""
    cos, sin = np.cos(solids.yaw), np.sin(solids.yaw)
    turn = np.zeros((len(solids), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, sin, -sin, cos, 1.0
    turn /= solids.half[:, :, None]
    start = np.einsum("nij,nj->ni", turn, origin - solids.centre).astype(np.float32)
    a, b, c, d, up = (turn[:, i, j].astype(np.float32)[solid] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2)))
    dx, dy, dz = directions[ray].T
    return start.T[:, solid], np.stack([a * dx + b * dy, c * dx + d * dy, up * dz])


def _cube(start: Singles, step: Singles) -> Singles:
    """Where rays enter the cube from -1 to 1; inf where they miss or start inside."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / step
    inverse = np.clip(inverse, -1e9, 1e9)
    middle, reach = -start * inverse, np.abs(inverse)
    enter, leave = (middle - reach).max(axis=0), (middle + reach).min(axis=0)
    return np.where((enter <= leave) & (enter > 0), enter, np.float32(np.inf))


def _sphere(start: Singles, step: Singles) -> Singles:
    """Where rays enter the unit sphere; inf where they miss or start inside."""
    a = np.einsum("ip,ip->p", step, step)
    b = np.einsum("ip,ip->p", start, step)
    c = np.einsum("ip,ip->p", start, start) - 1
    inside_root = b * b - a * c
    enter = (-b - np.sqrt(np.maximum(inside_root, 0))) / a
    return np.where((inside_root > 0) & (enter > 0), enter, np.float32(np.inf))
