"""Captioned pictures -> three parts in memory.

Shapes: N pictures, B batch, (H, W) = (image_px, image_px), L words of a caption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.data.shapes.config import ShapesData
from fusegpt.data.shapes.drawing import draw, place
from fusegpt.data.shapes.scene import COLOURS, SHAPES, SIZES, Scene, Thing, every_pair, numbers
from fusegpt.tasks.task import Batch, Splits

HELD_OUT, DRAWN = 0, 1


class ShapeSplit:
    """Pictures and their captions."""

    def __init__(self, images: NDArray[np.uint8], scenes: Sequence[Scene]) -> None:
        self.images, self.scenes = images, list(scenes)
        self.captions = np.array([numbers(str(scene)) for scene in scenes], np.int64)  # (N, L)

    def __len__(self) -> int:
        return len(self.scenes)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """{"image" (B, 3, H, W) uint8, "caption" (B, L) int64}. Nothing is augmented."""
        del rng
        images = np.ascontiguousarray(self.images[indices].transpose(0, 3, 1, 2))
        return {"image": torch.from_numpy(images), "caption": torch.from_numpy(self.captions[indices])}


def open_splits(config: ShapesData) -> Splits:
    """The three parts, no combination of two things in two of them."""
    pairs = held_out(config)
    samples = {"train": config.train_samples, "val": config.val_samples, "test": config.test_samples}
    splits: dict[str, ShapeSplit] = {}
    for number, (part, count) in enumerate(samples.items()):
        rng = np.random.default_rng([config.seed, DRAWN, number])
        scenes = _scenes(pairs[part], count, config, config.single_fraction if part == "train" else 0.0, rng)
        placed = [place(scene, config.cells, rng) for scene in scenes]
        splits[part] = ShapeSplit(draw(placed, config.cells, config.image_px), scenes)
    digest = hashlib.sha256()
    for split in splits.values():
        digest.update(split.images.tobytes() + split.captions.tobytes())
    return Splits(**splits, fingerprint=digest.hexdigest())


def held_out(config: ShapesData) -> dict[str, list[Scene]]:
    """The pairs of each part, every combination in exactly one, in both of its wordings."""
    pairs = every_pair()
    combinations = sorted({pair.combination for pair in pairs})
    order = np.random.default_rng([config.seed, HELD_OUT]).permutation(len(combinations))
    n_val, n_test = (max(1, round(share * len(combinations))) for share in (config.val_fraction, config.test_fraction))
    part = dict.fromkeys(combinations, "train")
    part.update({combinations[i]: "val" for i in order[:n_val]})
    part.update({combinations[i]: "test" for i in order[n_val : n_val + n_test]})
    return {name: [pair for pair in pairs if part[pair.combination] == name] for name in ("train", "val", "test")}


def _scenes(
    pairs: list[Scene], count: int, config: ShapesData, singles: float, rng: np.random.Generator
) -> list[Scene]:
    alone = [Scene(Thing(colour, shape)) for colour in COLOURS for shape in SHAPES]

    def sized(thing: Thing) -> Thing:
        size = "" if rng.random() < config.open_size_fraction else SIZES[rng.integers(len(SIZES))]
        return Thing(thing.colour, thing.shape, size)

    def scene() -> Scene:
        pool = alone if rng.random() < singles else pairs
        drawn = pool[int(rng.integers(len(pool)))]
        return Scene(sized(drawn.first), drawn.relation, sized(drawn.second) if drawn.second else None)

    return [scene() for _ in range(count)]
