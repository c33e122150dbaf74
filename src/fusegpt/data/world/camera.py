"""`Camera`: a pinhole that renders the world: the ground's map, solids by ray casting, sun, haze and sky.

The frame is the LiDAR's (x forward, y left, z up); the camera looks along x. A pixel's centre is at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.ground import Ground
from fusegpt.data.world.path import Floats
from fusegpt.data.world.rays import Hits, Indices, Singles, cast
from fusegpt.data.world.solids import Solids
from fusegpt.data.world.surface import Surface
from fusegpt.data.world.weather import Weather

# Where KITTI's left colour camera is, seen from its LiDAR, and the height of that LiDAR above the ground.
MOUNT_M = np.array([0.27, 0.06, -0.08])
LIDAR_HEIGHT_M = 1.73
HEIGHT_M = float(LIDAR_HEIGHT_M + MOUNT_M[2])
HORIZON_AT = 0.46
NEAR_M = 0.3
FAR_M = 150.0
SUBPIXELS = (-0.3, 0.3)

COLOURS = {
    Surface.BACKGROUND: (0.36, 0.43, 0.24),
    Surface.ROAD: (0.33, 0.33, 0.35),
    Surface.MARKING: (0.92, 0.92, 0.90),
    Surface.SIDEWALK: (0.58, 0.56, 0.54),
}
GLASS = np.array((0.03, 0.05, 0.08), np.float32)
PALETTE = np.array([COLOURS.get(surface, (0.5, 0.5, 0.5)) for surface in Surface], np.float32)
ROUGHNESS = np.array([0.30, 0.12, 0.06, 0, 0, 0, 0, 0.10], np.float32)


@dataclass(frozen=True)
class View:
    """What the camera saw. image: (H, W, 3) uint8; depth_m: (H, W), inf in the sky; semantics: (H, W) of `Surface`."""

    image: NDArray[np.uint8]
    depth_m: Singles
    semantics: NDArray[np.uint8]


class Camera:
    """Renders images of (height, width) pixels. Its ray along pixel (v, u) has length 1 along x: distance is depth."""

    def __init__(self, height_px: int, width_px: int, fov_deg: float) -> None:
        self.height, self.width = height_px, width_px
        self.focal_px = width_px / 2 / np.tan(np.deg2rad(fov_deg) / 2)
        self.centre_px = (width_px - 1) / 2, (height_px - 1) * HORIZON_AT
        self.directions = self._directions(0.0)
        self._ground_rows = slice(int(self.centre_px[1]) + 1, height_px)
        self._ground = [self._directions(offset)[self._ground_rows] for offset in SUBPIXELS]

    @property
    def projection(self) -> Singles:
        """(3, 4): homogeneous point of the frame -> homogeneous pixel."""
        u, v = self.centre_px
        rows = np.array([[u, -self.focal_px, 0.0], [v, 0.0, -self.focal_px], [1.0, 0.0, 0.0]])
        return np.concatenate([rows, -(rows @ MOUNT_M)[:, None]], axis=1).astype(np.float32)

    def render(self, pose: Floats, solids: Solids, ground: Ground, weather: Weather, rng: np.random.Generator) -> View:
        """The view from the pose (x, y, heading) of the ego; `solids` are in its frame."""
        hits = cast(MOUNT_M.astype(np.float32), self.directions, solids, self._windows(solids))
        colour, depth, semantics = self._backdrop(pose, ground, weather)
        seen = hits.distance[hits.ray] < depth.ravel()[hits.ray]
        hits = Hits(hits.distance, hits.ray[seen], hits.solid[seen], hits.local[seen])
        depth.ravel()[hits.ray] = hits.distance[hits.ray]
        semantics.ravel()[hits.ray] = solids.surface[hits.solid]
        colour.reshape(-1, 3)[hits.ray] = _shade(hits, solids, weather, pose[2])
        colour = weather.haze(colour, depth, _glow(hits, solids, depth.size))
        return View(_expose(colour, weather, rng), depth, semantics)

    def _directions(self, offset: float) -> Singles:
        u, v = np.meshgrid(np.arange(self.width) + offset, np.arange(self.height) + offset)
        left, up = (self.centre_px[0] - u) / self.focal_px, (self.centre_px[1] - v) / self.focal_px
        return np.stack([np.ones_like(left), left, up], axis=-1).astype(np.float32)

    def _backdrop(self, pose: Floats, ground: Ground, weather: Weather) -> tuple[Singles, Singles, NDArray[np.uint8]]:
        """Sky and ground: linear colour (H, W, 3), depth and semantics (H, W)."""
        colour = np.empty((self.height, self.width, 3), np.float32)
        colour[:] = weather.sky(self.directions[:, :1, 2])
        depth = np.full((self.height, self.width), np.inf, np.float32)
        semantics = np.zeros((self.height, self.width), np.uint8)
        rows = self._ground_rows
        samples = [self._look_down(directions, pose, ground, weather) for directions in self._ground]
        colour[rows] = sum(sample[0] for sample in samples) / np.float32(len(samples)) * weather.daylight
        depth[rows] = HEIGHT_M / -self.directions[rows, :, 2]
        semantics[rows] = samples[0][1]
        beyond = depth > FAR_M
        depth[beyond], semantics[beyond] = np.inf, Surface.BACKGROUND
        return colour, depth, semantics

    def _look_down(
        self, directions: Singles, pose: Floats, ground: Ground, weather: Weather
    ) -> tuple[Singles, NDArray[np.uint8]]:
        depth = HEIGHT_M / np.maximum(-directions[..., 2], np.float32(1e-3))
        forward, left = depth + float(MOUNT_M[0]), directions[..., 1] * depth + float(MOUNT_M[1])
        x0, y0, cos, sin = float(pose[0]), float(pose[1]), float(np.cos(pose[2])), float(np.sin(pose[2]))
        x, y = x0 + cos * forward - sin * left, y0 + sin * forward + cos * left
        surface = ground.surface(x, y)
        grain = weather.grain(x, y) * ROUGHNESS[surface]
        return PALETTE[surface] * (1 + grain)[..., None], surface

    def _windows(self, solids: Solids) -> Indices:
        """The part of the image that each solid can be in: (N, 4)."""
        corners = solids.corners() - MOUNT_M
        ahead = np.maximum(corners[..., 0], NEAR_M)
        u = self.centre_px[0] - self.focal_px * corners[..., 1] / ahead
        v = self.centre_px[1] - self.focal_px * corners[..., 2] / ahead
        bounds = np.stack([v.min(axis=1), v.max(axis=1) + 1, u.min(axis=1), u.max(axis=1) + 1], axis=1)
        limit = np.array([self.height, self.height, self.width, self.width])
        windows: Indices = np.clip(np.floor(bounds), 0, limit).astype(np.int32)
        windows[corners[..., 0].max(axis=1) < NEAR_M] = 0
        windows[corners[..., 0].min(axis=1) > FAR_M] = 0
        return windows


def _glow(hits: Hits, solids: Solids, size: int) -> NDArray[np.bool_]:
    """(size,) which pixels show something that shines by itself."""
    glow = np.zeros(size, bool)
    glow[hits.ray] = solids.glow[hits.solid]
    return glow


def _shade(hits: Hits, solids: Solids, weather: Weather, heading: float) -> Singles:
    """Linear colours of the hits, (K, 3): facades have windows, light depends on where a side faces."""
    half, yaw = solids.half[hits.solid], solids.yaw[hits.solid]
    face = np.abs(hits.local).argmax(axis=1)
    rounded = solids.round[hits.solid]
    normal = np.where(rounded[:, None], hits.local, np.sign(hits.local) * (face[:, None] == np.arange(3)))
    is_top = (face == 2) & (hits.local[:, 2] > 0)
    colour = np.where(is_top[:, None], solids.top[hits.solid], solids.side[hits.solid])
    facade = (solids.surface[hits.solid] == Surface.BUILDING) & ~is_top
    across = np.where(face == 0, hits.local[:, 1] * half[:, 1], hits.local[:, 0] * half[:, 0])
    height = (hits.local[:, 2] + 1) * half[:, 2]
    window = facade & (across % 3.0 > 1.3) & (height % 3.2 > 1.2) & (height % 3.2 < 2.7)
    colour = np.where(window[:, None], colour * np.float32(0.35) + GLASS, colour)
    light = weather.light(normal, yaw + np.float32(heading))
    light[solids.glow[hits.solid]] = 1.0
    return (colour * light[:, None]).astype(np.float32)


def _expose(colour: Singles, weather: Weather, rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.standard_normal(colour.shape[:2], dtype=np.float32) * np.float32(weather.noise)
    exposed = (colour + noise[..., None]) * np.float32(255)
    return np.clip(exposed, 0, 255).astype(np.uint8)
