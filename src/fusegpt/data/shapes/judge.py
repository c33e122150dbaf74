"""The judge: what a picture shows, told from its pixels alone, and whether that is what a caption says.

Plain image analysis: what is not white falls into connected parts; a part's colour is the palette's nearest, its
size that of its box, its shape how much of the box it fills, and the relation that of the middles of the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fusegpt.data.shapes.drawing import PALETTE, SIDE, WHITE
from fusegpt.data.shapes.scene import Scene, Thing

NOT_WHITE = 100.0  # distance in RGB: half of what the palest colour has
COVERED = 0.5  # of the distance of the part's own colour: what of its soft edge belongs to it
SPECK = 0.01  # of the picture: a smaller part is no thing
BETWEEN_SIZES = (SIDE["small"] + SIDE["large"]) / 2  # of the picture's side
# How much of its box a shape fills: a triangle 0.5, a circle 0.79, a square 1.
BELOW = (("triangle", 0.66), ("circle", 0.90), ("square", 2.0))

ASKED = ("count", "colour", "shape", "size", "relation")
Verdict = dict[str, bool]


@dataclass(frozen=True)
class Seen:
    """A part of the picture and the middle of its rows and columns, in pixels."""

    thing: Thing
    x: float
    y: float


def look(image: NDArray[np.uint8]) -> list[Seen]:
    """(H, W, 3) -> what there is to see, in reading order."""
    pixels = image.astype(np.float64)
    parts, _ = ndimage.label(np.linalg.norm(pixels - WHITE, axis=-1) > NOT_WHITE)
    boxes = ndimage.find_objects(parts)
    found = [(np.where((parts[box] == n)[..., None], pixels[box], WHITE), box) for n, box in enumerate(boxes, 1)]
    seen = [_seen(alone, box, len(image)) for alone, box in found]
    return [one for one in seen if one is not None]


def judge(image: NDArray[np.uint8], scene: Scene) -> Verdict:
    """Which of ASKED the picture shows as the scene has them; what the scene leaves open is right.

    Of two ways to say which part is which thing, the one that makes more of the picture right counts.
    """
    seen = look(image)
    if len(seen) != len(scene.things):
        return dict.fromkeys(ASKED, False)
    verdicts = [_compared(order, scene) for order in permutations(seen)]
    return max(verdicts, key=lambda verdict: sum(verdict.values()))


def judged(images: NDArray[np.uint8], scenes: Sequence[Scene]) -> dict[str, NDArray[np.bool_]]:
    """Each of ASKED, and "accuracy": whether all of them are right. (N, H, W, 3) -> each (N,)."""
    verdicts = [judge(image, scene) for image, scene in zip(images, scenes, strict=True)]
    each = {name: np.array([verdict[name] for verdict in verdicts], bool) for name in ASKED}
    return {"accuracy": np.logical_and.reduce(list(each.values())), **each}


def _seen(alone: NDArray[np.float64], box: tuple[slice, slice], image_px: int) -> Seen | None:
    """What the part in `box` is, None where it is a speck. alone: the box's pixels (h, w, 3), white beside the part."""
    distance = np.linalg.norm(alone - WHITE, axis=-1)
    colour = np.median(alone[distance > NOT_WHITE], axis=0)
    covered = distance > COVERED * np.linalg.norm(colour - WHITE)
    if covered.sum() < SPECK * image_px**2:
        return None
    rows, columns = (np.flatnonzero(covered.any(axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    filled = covered.sum() / (height * width)
    shape = next(name for name, limit in BELOW if filled < limit)
    size = "small" if max(height, width) < BETWEEN_SIZES * image_px else "large"
    x, y = box[1].start + columns.mean(), box[0].start + rows.mean()
    return Seen(Thing(_nearest(colour), shape, size), float(x), float(y))


def _nearest(colour: NDArray[np.float64]) -> str:
    return min(PALETTE, key=lambda name: float(np.linalg.norm(colour - PALETTE[name])))


def _compared(seen: Sequence[Seen], scene: Scene) -> Verdict:
    pairs = [(one.thing, thing) for one, thing in zip(seen, scene.things, strict=True)]
    return {
        "count": True,
        "colour": all(told.colour == thing.colour for told, thing in pairs),
        "shape": all(told.shape == thing.shape for told, thing in pairs),
        "size": all(thing.size in ("", told.size) for told, thing in pairs),
        "relation": len(seen) == 1 or _relation(*seen) == scene.relation,
    }


def _relation(first: Seen, second: Seen) -> str:
    """How the first lies to the second, along the direction in which they are farther apart."""
    x, y = second.x - first.x, second.y - first.y
    if abs(y) > abs(x):
        return "above" if y > 0 else "below"
    return "left of" if x > 0 else "right of"
