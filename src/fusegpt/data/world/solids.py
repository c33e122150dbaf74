"""`Solids`: the things that stand in the world: upright boxes and ellipsoids, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.path import Floats
from fusegpt.data.world.surface import Surface


@dataclass(frozen=True)
class Solids:
    """N things. z is measured from the ground; lengths in metres, angles in radians, colours 0..1.

    centre, half: (N, 3), middle and half extents. yaw: (N,). round: (N,) an ellipsoid instead of a box.
    side, top: (N, 3) colours. surface: (N,) class. reflectance: (N,) to the LiDAR. glow: (N,) shines by itself.
    """

    centre: Floats
    half: Floats
    yaw: Floats
    round: NDArray[np.bool_]
    side: Floats
    top: Floats
    surface: NDArray[np.uint8]
    reflectance: Floats
    glow: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.yaw)

    def take(self, which: NDArray[np.generic]) -> Solids:
        """Some of them, by mask or index."""
        return Solids(*(getattr(self, f.name)[which] for f in fields(self)))

    def within(self, point: Floats, reach_m: float) -> Solids:
        """Those that come nearer than `reach_m` to a point (x, y) of the world."""
        distance = np.hypot(*(self.centre[:, :2] - point).T) - np.hypot(self.half[:, 0], self.half[:, 1])
        return self.take(distance < reach_m)

    def seen_from(self, pose: Floats, up_m: float) -> Solids:
        """The same things in the frame at pose (x, y, heading), `up_m` above the ground, in single precision."""
        x, y, heading = pose
        cos, sin = np.cos(heading), np.sin(heading)
        dx, dy = self.centre[:, 0] - x, self.centre[:, 1] - y
        centre = np.stack([cos * dx + sin * dy, cos * dy - sin * dx, self.centre[:, 2] - up_m], axis=1)
        seen = Solids(centre, self.half, self.yaw - heading, *(getattr(self, f.name) for f in fields(self)[3:]))
        return Solids(*(_single(getattr(seen, f.name)) for f in fields(self)))

    def placed(self, pose: Floats) -> Solids:
        """Things of a frame whose origin is put at pose (x, y, heading) of the world."""
        x, y, heading = pose
        cos, sin = np.cos(heading), np.sin(heading)
        forward, left, up = self.centre.T
        centre = np.stack([x + cos * forward - sin * left, y + sin * forward + cos * left, up], axis=1)
        return Solids(centre, self.half, self.yaw + heading, *(getattr(self, f.name) for f in fields(self)[3:]))

    def corners(self) -> Floats:
        """The eight corners of each: (N, 8, 3), the lower four first."""
        signs = np.array([(x, y, z) for z in (-1, 1) for x, y in ((1, 1), (1, -1), (-1, -1), (-1, 1))])
        reach = signs[None] * self.half[:, None]
        cos, sin = np.cos(self.yaw)[:, None], np.sin(self.yaw)[:, None]
        x = cos * reach[..., 0] - sin * reach[..., 1]
        y = sin * reach[..., 0] + cos * reach[..., 1]
        return self.centre[:, None] + np.stack([x, y, reach[..., 2]], axis=-1)


def _single(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float64 else values


def block(
    centre: Floats,
    half: tuple[float, float, float],
    yaw: float,
    surface: Surface,
    colour: tuple[float, float, float],
    top: tuple[float, float, float] | None = None,
    *,
    rounded: bool = False,
    reflectance: float = 0.3,
    glow: bool = False,
) -> Solids:
    """One thing; `top` takes the colour of the sides unless given."""
    return Solids(
        np.array([centre], float),
        np.array([half], float),
        np.array([yaw]),
        np.array([rounded]),
        np.array([colour], float),
        np.array([top or colour], float),
        np.array([surface], np.uint8),
        np.array([reflectance]),
        np.array([glow]),
    )


def join(parts: list[Solids]) -> Solids:
    """All of them as one; at least one part is needed."""
    return Solids(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Solids)))
