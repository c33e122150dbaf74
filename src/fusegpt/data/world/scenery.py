"""What stands beside the street: houses, trees, lamp posts, hedges and parked cars."""

from __future__ import annotations

import numpy as np

from fusegpt.data.world.path import Floats
from fusegpt.data.world.road import Road
from fusegpt.data.world.solids import Solids, block, join
from fusegpt.data.world.surface import Surface
from fusegpt.data.world.vehicle import draw_model

FACADES = ((0.72, 0.62, 0.50), (0.66, 0.44, 0.36), (0.78, 0.75, 0.68), (0.55, 0.56, 0.58), (0.80, 0.70, 0.52))
LEAVES = ((0.18, 0.34, 0.14), (0.24, 0.40, 0.16), (0.30, 0.38, 0.14))
BARK, STEEL, ROOF = (0.30, 0.22, 0.16), (0.38, 0.40, 0.42), (0.36, 0.25, 0.22)
HEADROOM_M = 4.0
STREET_KINDS = ((0.75, 0.25), (0.35, 0.6), (0.08, 0.65))  # shares of houses and of trees: town, suburb, country


def plant(rng: np.random.Generator, road: Road) -> Solids:
    """Everything beside the street of one drive. Nothing stands on any street."""
    houses, trees = STREET_KINDS[int(rng.integers(len(STREET_KINDS)))]
    streets, kerb = road.streets()[::4], road.half_width_m
    parts: list[Solids] = []
    station = 0.0
    while station < road.centreline.length_m:
        for side in (-1.0, 1.0):
            drawn = rng.random()
            if drawn < houses:
                parts.append(_house(rng, *_beside(road, station, side * (kerb + rng.uniform(9.5, 13)))))
            elif drawn < houses + trees:
                parts.append(_tree(rng, *_beside(road, station, side * (kerb + rng.uniform(2.8, 9)))))
            if rng.random() < 0.25:
                parts.append(_post(*_beside(road, station, side * (kerb + 1.2)), side))
            if rng.random() < 0.12:
                parts.append(_hedge(rng, *_beside(road, station, side * (kerb + 3.4))))
            if rng.random() < 0.15:
                parts.append(_parked(rng, road, station, side))
        station += rng.uniform(9, 15)
    return join([part for part in parts if _clear(part, streets, kerb)])


def _beside(road: Road, station: float, left_m: float) -> tuple[Floats, float]:
    x, y, heading = road.centreline.at(np.array([station]))[0]
    return np.array([x - left_m * np.sin(heading), y + left_m * np.cos(heading)]), float(heading)


def _clear(part: Solids, streets: Floats, kerb: float) -> bool:
    """Whether no corner stands on a street (an arm that reaches over it may)."""
    standing = part.take(part.centre[:, 2] - part.half[:, 2] < HEADROOM_M)
    corners = np.concatenate([standing.corners()[..., :2].reshape(-1, 2), standing.centre[:, :2]])
    gaps = corners[:, None] - streets[None]
    return bool(np.hypot(gaps[..., 0], gaps[..., 1]).min() > kerb + 0.15)


def _house(rng: np.random.Generator, at: Floats, heading: float) -> Solids:
    half = (float(rng.uniform(4, 7)), float(rng.uniform(4, 6)), float(rng.choice([1.6, 3.2, 4.8, 6.4]) + 0.4))
    colour = FACADES[int(rng.integers(len(FACADES)))]
    return block(np.array([*at, half[2]]), half, heading, Surface.BUILDING, colour, ROOF, reflectance=0.4)


def _tree(rng: np.random.Generator, at: Floats, heading: float) -> Solids:
    trunk, crown, width = rng.uniform(1.4, 2.4), rng.uniform(1.4, 2.6), rng.uniform(1.2, 2.4)
    leaves = LEAVES[int(rng.integers(len(LEAVES)))]
    stem = block(np.array([*at, trunk / 2 + 0.4]), (0.16, 0.16, trunk / 2 + 0.4), heading, Surface.VEGETATION, BARK)
    ball = block(
        np.array([*at, trunk + crown]), (width, width, crown), heading, Surface.VEGETATION, leaves, rounded=True
    )
    return join([stem, ball])


def _hedge(rng: np.random.Generator, at: Floats, heading: float) -> Solids:
    half = (float(rng.uniform(1.5, 4)), 0.45, float(rng.uniform(0.4, 0.8)))
    return block(np.array([*at, half[2]]), half, heading, Surface.VEGETATION, LEAVES[0], LEAVES[1])


def _post(at: Floats, heading: float, side: float) -> Solids:
    arm = np.array([*at, 6.0]) + side * 0.7 * np.array([np.sin(heading), -np.cos(heading), 0])
    return join(
        [
            block(np.array([*at, 3.0]), (0.09, 0.09, 3.0), heading, Surface.POLE, STEEL, reflectance=0.5),
            block(arm, (0.08, 0.8, 0.06), heading, Surface.POLE, STEEL, reflectance=0.5),
        ]
    )


def _parked(rng: np.random.Generator, road: Road, station: float, side: float) -> Solids:
    """A car with its wheels on the sidewalk."""
    at, heading = _beside(road, station, side * (road.half_width_m + 1.3))
    model = draw_model(rng, cars_only=True)
    return model.solids(np.array([*at, heading + (np.pi if side > 0 else 0)]), braking=False)
