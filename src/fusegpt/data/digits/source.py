"""Digits -> three parts of pictures in memory.

Shapes: N pictures, B batch, (H, W) = (image_px, image_px).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.data.digits.config import CLASSES, DigitsData
from fusegpt.data.digits.idx import read_idx
from fusegpt.data.image import resized
from fusegpt.data.sample import DataError
from fusegpt.tasks.task import Batch, Splits

Pictures = NDArray[np.uint8]  # (N, H, W)
Labels = NDArray[np.uint8]  # (N,)


class DigitSplit:
    """Pictures and their classes."""

    def __init__(self, images: Pictures, labels: Labels) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """{"image" (B, 1, H, W) uint8, "label" (B,) int64}. Nothing is augmented."""
        del rng
        return {
            "image": torch.from_numpy(self.images[indices][:, None]),
            "label": torch.from_numpy(self.labels[indices].astype(np.int64)),
        }


def open_splits(config: DigitsData) -> Splits:
    """The three parts. Raises DataError naming the file."""
    parts = _mnist(config) if config.path else _sklearn(config)
    splits = {name: DigitSplit(_scaled(images, config.image_px), labels) for name, (images, labels) in parts.items()}
    digest = hashlib.sha256()
    for split in splits.values():
        digest.update(split.images.tobytes() + split.labels.tobytes())
    return Splits(**splits, fingerprint=digest.hexdigest())


def _sklearn(config: DigitsData) -> dict[str, tuple[Pictures, Labels]]:
    """scikit-learn's digits. They do not say who wrote which, so they are held out at random."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # 0..16 -> 0..255
    order = np.random.default_rng(config.seed).permutation(len(labels))
    n_val, n_test = (round(share * len(labels)) for share in (config.val_fraction, config.test_fraction))
    rows = {"train": order[n_val + n_test :], "val": order[:n_val], "test": order[n_val : n_val + n_test]}
    return {name: (images[chosen], labels[chosen].astype(np.uint8)) for name, chosen in rows.items()}


def _mnist(config: DigitsData) -> dict[str, tuple[Pictures, Labels]]:
    """MNIST's files. Its test part was written by other people than its training part, so it stays whole."""
    folder = Path(config.path).expanduser()
    images, labels = _pair(folder, "train")
    order = np.random.default_rng(config.seed).permutation(len(labels))
    n_val = round(config.val_fraction * len(labels))
    val, train = order[:n_val], order[n_val:]
    return {
        "train": (images[train], labels[train]),
        "val": (images[val], labels[val]),
        "test": _pair(folder, "t10k"),
    }


def _pair(folder: Path, part: str) -> tuple[Pictures, Labels]:
    images_file, labels_file = (_file(folder, f"{part}-{rest}") for rest in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels):
        raise DataError(f"{labels_file}: has {len(labels)} labels for {len(images)} pictures")
    if 0 in images.shape:
        raise DataError(f"{images_file}: has no pixels, its shape is {images.shape}")
    if labels.max() >= CLASSES:
        raise DataError(f"{labels_file}: has the label {labels.max()}; 0 to {CLASSES - 1} are right")
    return images, labels


def _file(folder: Path, name: str) -> Path:
    """The file as MNIST's site names it, or as some unpackers do, gzipped or not. Raises DataError."""
    spellings = [name, name.replace("-idx", ".idx")]
    files = [folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz")]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise DataError(f"{folder / name}: is missing, also as .gz (data.path must hold MNIST's four files)")
    return found


def _scaled(images: Pictures, image_px: int) -> Pictures:
    if images.shape[1:] == (image_px, image_px):
        return images
    return np.stack([resized(np.repeat(image[..., None], 3, -1), image_px, image_px)[0] for image in images])
