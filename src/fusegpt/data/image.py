"""A camera image of any size -> the size that the model sees. Packing and serving both use this, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resized(image: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """(H, W, 3) -> (3, height_px, width_px), the whole picture, antialiased. Raises ValueError for another shape."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image must be (H, W, 3), not {image.shape}")
    pixels = image.transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)
    if image.shape[:2] != (height_px, width_px):
        pixels = _antialiased(pixels, height_px, width_px)
    return np.ascontiguousarray(pixels)


def _antialiased(pixels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Pillow's bilinear filter, within one level of it, in a quarter of its time (benchmarks/results)."""
    import torch

    writable = (
        pixels if pixels.flags.writeable else pixels.copy(order="K")
    )  # torch shares memory; it warns of constants
    image = torch.from_numpy(writable)[None]
    size = height_px, width_px
    smaller = torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    resized: NDArray[np.uint8] = smaller[0].numpy()
    return resized


def rescaled(
    projection: NDArray[np.floating[Any]], shape: tuple[int, ...], height_px: int, width_px: int
) -> NDArray[np.float32]:
    """A (3, 4) projection onto an image of `shape` (H, W, ...) -> the same onto the resized image.

    Pixel centres are at whole numbers, so the image's corner is at -0.5.
    """
    sx, sy = width_px / shape[1], height_px / shape[0]
    scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    onto: NDArray[np.float32] = (scale @ projection).astype(np.float32)
    return onto


def picked(label: NDArray[Any], height_px: int, width_px: int) -> NDArray[Any]:
    """A map (H, W) of classes or depths -> (height_px, width_px): the nearest pixel's value, never one in between."""
    rows, columns = (
        ((np.arange(size) + 0.5) * whole / size).astype(int)
        for size, whole in zip((height_px, width_px), label.shape, strict=True)
    )
    nearest: NDArray[Any] = label[rows[:, None], columns]
    return nearest
