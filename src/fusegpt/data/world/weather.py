"""`Weather`: sky, sun and haze of one drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.path import Floats
from fusegpt.data.world.rays import Singles

GRAIN_CELLS = 256
GRAIN_PER_M = 6.0


@dataclass(frozen=True)
class Weather:
    """zenith, horizon: (3,) sky colours. sun: (3,) unit vector of the world. texture: (256, 256) of the ground."""

    zenith: Singles
    horizon: Singles
    sun: Floats
    sunlight: float
    ambient: float
    visibility_m: float
    noise: float
    texture: Singles

    @property
    def daylight(self) -> np.float32:
        """What flat ground receives."""
        return np.float32(self.ambient + self.sunlight * self.sun[2])

    def sky(self, upward: Singles) -> Singles:
        """Colours (..., 3) for rays that rise by `upward` per length: the horizon fades into the zenith."""
        share = np.clip(upward[..., None] * 2.2, 0, 1)
        return np.asarray(self.horizon + (self.zenith - self.horizon) * share)

    def light(self, normal: Floats, yaw: Floats) -> Floats:
        """Light (K,) on sides that face `normal` (K, 3) of solids turned by `yaw` in the world."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        x, y = cos * normal[:, 0] - sin * normal[:, 1], sin * normal[:, 0] + cos * normal[:, 1]
        east, north, up = (float(part) for part in self.sun)
        toward = x * east + y * north + normal[:, 2] * up
        open_sky = 0.75 + 0.25 * normal[:, 2]
        return np.asarray(self.ambient * open_sky + self.sunlight * np.maximum(toward, 0.0))

    def haze(self, colour: Singles, depth_m: Singles, glow: NDArray[np.bool_]) -> Singles:
        """What is far fades into the horizon, a light half as fast; the sky (infinitely far) keeps its colour."""
        far = np.where(np.isfinite(depth_m), depth_m, np.float32(0))
        far.ravel()[glow] *= np.float32(0.5)
        share = np.exp(far * np.float32(-1 / self.visibility_m))[..., None]
        return np.asarray((colour - self.horizon) * share + self.horizon)

    def grain(self, x: Floats, y: Floats) -> Singles:
        """Roughness of the ground, about -1..1, fixed to the world."""
        column = (x * GRAIN_PER_M).astype(np.int32) & (GRAIN_CELLS - 1)
        row = (y * GRAIN_PER_M).astype(np.int32) & (GRAIN_CELLS - 1)
        return np.asarray(self.texture[row, column])


SKIES = (
    # zenith, horizon, sunlight, ambient, visibility_m
    ((0.33, 0.52, 0.82), (0.78, 0.86, 0.94), 0.55, 0.55, 500.0),
    ((0.70, 0.73, 0.77), (0.82, 0.83, 0.84), 0.10, 0.85, 220.0),
    ((0.36, 0.38, 0.55), (0.93, 0.74, 0.58), 0.40, 0.45, 350.0),
    ((0.74, 0.76, 0.78), (0.80, 0.81, 0.82), 0.05, 0.80, 90.0),
)


def forecast(rng: np.random.Generator) -> Weather:
    """The weather of one drive: clear, overcast, evening or misty."""
    zenith, horizon, sunlight, ambient, visibility = SKIES[int(rng.choice(len(SKIES), p=[0.45, 0.25, 0.2, 0.1]))]
    brightness = float(rng.uniform(0.85, 1.1))
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.deg2rad(rng.uniform(15, 60))
    sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    return Weather(
        np.array(zenith, np.float32) * np.float32(brightness),
        np.array(horizon, np.float32) * np.float32(brightness),
        sun,
        sunlight * brightness,
        ambient * brightness,
        visibility,
        float(rng.uniform(0.006, 0.015)),
        _texture(rng),
    )


def _texture(rng: np.random.Generator) -> Singles:
    """Noise of several sizes that tiles."""
    total = np.zeros((GRAIN_CELLS, GRAIN_CELLS))
    for size, weight in ((256, 0.35), (64, 0.3), (16, 0.35)):
        repeat = GRAIN_CELLS // size
        total += weight * np.kron(rng.uniform(-1, 1, (size, size)), np.ones((repeat, repeat)))
    return total.astype(np.float32)
