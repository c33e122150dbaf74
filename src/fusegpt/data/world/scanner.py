"""`Scanner`: a spinning LiDAR: rings of rays against the ground and the solids, with noise and dropouts."""

from __future__ import annotations

import numpy as np

from fusegpt.data.world.camera import LIDAR_HEIGHT_M
from fusegpt.data.world.ground import Ground
from fusegpt.data.world.path import Floats
from fusegpt.data.world.rays import Hits, Indices, Singles, cast
from fusegpt.data.world.solids import Solids
from fusegpt.data.world.surface import Surface

# The field of Velodyne's HDL-64E, which recorded KITTI.
TOP_DEG, BOTTOM_DEG = 2.0, -24.8
NEAR_M = 1.0
NOISE_M = 0.02
DROPOUT = 0.03
GROUND_REFLECTANCE = np.array([0.30, 0.22, 0.75, 0, 0, 0, 0, 0.35], np.float32)


class Scanner:
    """Scans `rings` x `azimuths` rays from the origin of the frame."""

    def __init__(self, rings: int, azimuths: int, range_m: float) -> None:
        self.range_m = range_m
        self.elevation = np.deg2rad(np.linspace(TOP_DEG, BOTTOM_DEG, rings))
        self.azimuth = np.linspace(-np.pi, np.pi, azimuths, endpoint=False)
        self.directions = _directions(self.elevation, self.azimuth)
        with np.errstate(divide="ignore"):
            ground = LIDAR_HEIGHT_M / -self.directions[..., 2]
        self._ground_m = np.where(self.directions[..., 2] < 0, ground, np.inf).astype(np.float32).ravel()

    def scan(self, pose: Floats, solids: Solids, ground: Ground, rng: np.random.Generator) -> Singles:
        """One sweep, (N, 4): x y z and reflectance; `solids` are in the frame, `pose` is the ego's in the world."""
        hits = cast(np.zeros(3, np.float32), self.directions, solids, self._windows(solids))
        distance = np.minimum(hits.distance, self._ground_m)
        noisy = distance + np.float32(NOISE_M) * rng.standard_normal(distance.shape, dtype=np.float32)
        returned = (distance < self.range_m) & (noisy > NEAR_M) & (rng.random(distance.shape, np.float32) > DROPOUT)
        points = self.directions.reshape(-1, 3)[returned] * noisy[returned, None]
        reflectance = self._reflectance(hits, pose, solids, ground)[returned]
        reflectance = np.clip(reflectance + np.float32(0.03) * rng.standard_normal(len(points), np.float32), 0, 1)
        return np.concatenate([points, reflectance[:, None]], axis=1, dtype=np.float32)

    def _reflectance(self, hits: Hits, pose: Floats, solids: Solids, ground: Ground) -> Singles:
        reach = np.where(self._ground_m < self.range_m, self._ground_m, 0)
        forward, left = (self.directions.reshape(-1, 3)[:, :2] * reach[:, None]).T
        x0, y0, cos, sin = float(pose[0]), float(pose[1]), float(np.cos(pose[2])), float(np.sin(pose[2]))
        surface = ground.surface(x0 + cos * forward - sin * left, y0 + sin * forward + cos * left)
        reflectance = GROUND_REFLECTANCE[np.minimum(surface, Surface.SIDEWALK)]
        first = hits.distance[hits.ray] < self._ground_m[hits.ray]
        reflectance[hits.ray[first]] = solids.reflectance[hits.solid[first]]
        return reflectance

    def _windows(self, solids: Solids) -> Indices:
        """The rings and azimuths that each solid can be in: (N, 4)."""
        corners = solids.corners()
        bearing = np.arctan2(solids.centre[:, 1], solids.centre[:, 0])
        spread = np.arctan2(corners[:, :4, 1], corners[:, :4, 0]) - bearing[:, None]
        spread = (spread + np.pi) % (2 * np.pi) - np.pi
        columns = len(self.azimuth)
        first = np.floor((bearing + spread.min(axis=1) + np.pi) / (2 * np.pi) * columns)
        last = np.ceil((bearing + spread.max(axis=1) + np.pi) / (2 * np.pi) * columns) + 1
        top, bottom = self._elevations(solids)
        step = (self.elevation[0] - self.elevation[-1]) / (len(self.elevation) - 1)
        upper = np.clip(np.floor((self.elevation[0] - top) / step), 0, len(self.elevation))
        lower = np.clip(np.ceil((self.elevation[0] - bottom) / step) + 1, 0, len(self.elevation))
        return np.stack([upper, lower, first % columns, first % columns + (last - first)], axis=1).astype(np.int32)

    def _elevations(self, solids: Solids) -> tuple[Floats, Floats]:
        """The highest and the lowest angle under which each solid can be seen."""
        middle, radius = np.hypot(*solids.centre[:, :2].T), np.hypot(solids.half[:, 0], solids.half[:, 1])
        near, far = np.maximum(middle - radius, 0.1), middle + radius
        high, low = solids.centre[:, 2] + solids.half[:, 2], solids.centre[:, 2] - solids.half[:, 2]
        top = np.arctan2(high, np.where(high > 0, near, far))
        bottom = np.arctan2(low, np.where(low > 0, far, near))
        return top, bottom


def _directions(elevation: Floats, azimuth: Floats) -> Singles:
    """Unit vectors (rings, azimuths, 3)."""
    flat = np.cos(elevation)[:, None]
    rise = np.broadcast_to(np.sin(elevation)[:, None], (len(elevation), len(azimuth)))
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), rise], axis=-1).astype(np.float32)
