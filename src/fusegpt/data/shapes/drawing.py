"""Scenes drawn: where each thing goes, and its pixels.

Shapes: N pictures, (H, W) = (image_px, image_px).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.shapes.scene import SIZES, Scene, Thing

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 220),
    "yellow": (245, 200, 20),
    "purple": (160, 60, 190),
    "black": (25, 25, 25),
}
WHITE = (255, 255, 255)
SIDE = {"small": 2 / 8, "large": 3 / 8}  # of the picture's side
GAP = 1  # in cells, between two things, at least
SWAY = 0.5  # how far two things may lie apart across their relation, as a share of their distance along it


@dataclass(frozen=True)
class Placed:
    """A thing and its square, in cells from the picture's top left corner."""

    thing: Thing
    side: int
    left: int
    top: int


def place(scene: Scene, cells: int, rng: np.random.Generator) -> list[Placed]:
    """Where each thing goes; sizes that are left open are drawn too. The picture is `cells` wide."""
    things = [Thing(t.colour, t.shape, t.size or SIZES[rng.integers(len(SIZES))]) for t in scene.things]
    sides = [round(SIDE[thing.size] * cells) for thing in things]
    if len(things) == 1:
        left, top = rng.integers(0, cells - sides[0], size=2, endpoint=True)
        return [Placed(things[0], sides[0], int(left), int(top))]
    order = [0, 1] if scene.relation in ("above", "left of") else [1, 0]  # the upper or left one first
    along, across = _pair(sides[order[0]], sides[order[1]], cells, rng)
    upright = scene.relation in ("above", "below")
    placed = [
        Placed(things[which], sides[which], *((across[i], along[i]) if upright else (along[i], across[i])))
        for i, which in enumerate(order)
    ]
    return [placed[order.index(i)] for i in range(2)]


def draw(pictures: Sequence[Sequence[Placed]], cells: int, image_px: int) -> NDArray[np.uint8]:
    """(N, H, W, 3), with soft edges. `image_px` is a multiple of `cells`."""
    out = np.full((len(pictures), image_px, image_px, 3), WHITE, np.uint8)
    cell = image_px // cells
    for picture, placed in zip(out, pictures, strict=True):
        for one in placed:
            left, top, side = one.left * cell, one.top * cell, one.side * cell
            box = picture[top : top + side, left : left + side]
            cover = _cover(one.thing.shape, side)[..., None]
            box[:] = np.round(box * (1 - cover) + np.array(PALETTE[one.thing.colour]) * cover)
    return out


def _pair(one: int, other: int, cells: int, rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where two sides begin along their relation, the first before the other, and across it."""
    gap = int(rng.integers(GAP, cells - one - other, endpoint=True))
    start = int(rng.integers(0, cells - one - other - gap, endpoint=True))
    first = int(rng.integers(0, cells - one, endpoint=True))
    far = SWAY * (gap + (one + other) / 2)  # between the middles
    middle = first + (one - other) / 2
    low, high = max(0, math.ceil(middle - far)), min(cells - other, math.floor(middle + far))
    return (start, start + one + gap), (first, int(rng.integers(low, high, endpoint=True)))


@lru_cache(maxsize=64)
def _cover(shape: str, side: int) -> NDArray[np.float64]:
    """(side, side): how much of each pixel the shape covers, from the distance to its edge."""
    x, y = np.meshgrid(*2 * [np.arange(side) + 0.5 - side / 2])
    half = side / 2
    outside = {
        "circle": np.hypot(x, y) - half,
        "square": np.maximum(abs(x), abs(y)) - half,
        "triangle": np.maximum(y - half, (2 * abs(x) - y - half) / np.sqrt(5)),
    }[shape]
    covered: NDArray[np.float64] = np.clip(0.5 - outside, 0, 1)
    return covered
