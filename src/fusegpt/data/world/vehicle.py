"""`Vehicle`: one model of car or truck: how large it is and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fusegpt.data.world.path import Floats
from fusegpt.data.world.solids import Solids, block, join
from fusegpt.data.world.surface import Surface

PAINTS = (
    (0.75, 0.76, 0.78),
    (0.10, 0.10, 0.12),
    (0.62, 0.10, 0.10),
    (0.12, 0.22, 0.45),
    (0.42, 0.44, 0.46),
    (0.88, 0.88, 0.86),
    (0.20, 0.36, 0.28),
)
TYRES, GLASS = (0.05, 0.05, 0.05), (0.12, 0.15, 0.18)
HEADLAMP, TAIL_LAMP, BRAKE_LAMP = (0.95, 0.95, 0.85), (0.42, 0.05, 0.05), (1.0, 0.12, 0.10)
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Vehicle:
    """Metres; `tall` is a van or a truck, without a cabin of its own."""

    length_m: float
    width_m: float
    height_m: float
    paint: Triple
    tall: bool

    def solids(self, pose: Floats, *, braking: bool) -> Solids:
        """Its parts, standing at (x, y, heading) of its middle."""
        return _parts(self, braking).placed(pose)


@lru_cache(maxsize=1024)
def _parts(vehicle: Vehicle, braking: bool) -> Solids:
    """The vehicle in its own frame: the origin on the ground below its middle."""
    length, width = vehicle.length_m / 2, vehicle.width_m / 2
    waist = vehicle.height_m * (1.0 if vehicle.tall else 0.62)
    parts = [
        _part(0, 0.2, (length * 0.94, width * 0.92, 0.2), TYRES),
        _part(0, (waist + 0.3) / 2, (length, width, (waist - 0.3) / 2), vehicle.paint),
        _part(-length, 0.8, (0.04, width * 0.96, 0.13), BRAKE_LAMP if braking else TAIL_LAMP, glow=braking),
        _part(length, 0.7, (0.04, width * 0.9, 0.09), HEADLAMP),
    ]
    if vehicle.tall:
        parts.append(_part(length - 0.05, waist - 0.5, (0.08, width * 0.9, 0.35), GLASS))
    else:
        roof = (vehicle.height_m - waist) / 2
        parts.append(_part(-0.1 * length, waist + roof, (length * 0.52, width * 0.86, roof), GLASS, vehicle.paint))
    return join(parts)


def _part(
    forward: float, z: float, half: Triple, colour: Triple, top: Triple | None = None, *, glow: bool = False
) -> Solids:
    centre = np.array([forward, 0.0, z])
    return block(centre, half, 0.0, Surface.VEHICLE, colour, top, reflectance=0.55, glow=glow)


def draw_model(rng: np.random.Generator, *, cars_only: bool = False) -> Vehicle:
    """Mostly cars, some vans and trucks."""
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    kind = 0.0 if cars_only else rng.random()
    if kind > 0.93:
        return Vehicle(float(rng.uniform(7, 9)), 2.4, float(rng.uniform(2.9, 3.4)), paint, tall=True)
    if kind > 0.82:
        return Vehicle(float(rng.uniform(4.9, 5.6)), 1.95, float(rng.uniform(2.0, 2.4)), paint, tall=True)
    return Vehicle(float(rng.uniform(3.9, 4.7)), float(rng.uniform(1.7, 1.85)), 1.48, paint, tall=False)
