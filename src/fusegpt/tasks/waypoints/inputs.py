"""Requests -> one batch, by the same steps that pack the data, so that training and serving cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.data.driving import DrivingData
from fusegpt.data.image import resized
from fusegpt.data.lidar import histogram
from fusegpt.signature import InputError, Signature, Tensor
from fusegpt.tasks.task import Batch

Request = Mapping[str, NDArray[np.generic]]

MAX_SPEED_MPS = 100.0
MAX_TARGET_M = 1000.0
MIN_IMAGE_PX = 8


def encode(requests: Sequence[Request], signature: Signature, data: DrivingData) -> Batch:
    """{"image" (B, 3, H, W) uint8, "lidar" (B, C, h, w), "speed_mps" (B, 1), "target_point" (B, 2)}.

    Raises InputError naming the field.
    """
    read = [{tensor.name: field(request, tensor) for tensor in signature.inputs} for request in requests]
    for request in read:
        _refuse_nonsense(request)
    size = data.image_height_px, data.image_width_px
    return {
        "image": torch.from_numpy(np.stack([resized(request["image"], *size) for request in read])),
        "lidar": torch.from_numpy(np.stack([histogram(request["sweep"], data.lidar) for request in read])),
        "speed_mps": torch.from_numpy(np.stack([request["speed_mps"] for request in read])),
        "target_point": torch.from_numpy(np.stack([request["target_point"] for request in read])),
    }


def field(request: Request, tensor: Tensor) -> NDArray[Any]:
    """One field in its own type and shape. Raises InputError."""
    if tensor.name not in request:
        raise InputError(tensor.name, "is missing")
    value = np.asarray(request[tensor.name])
    if tensor.dtype == "uint8" and value.dtype != np.uint8:
        raise InputError(tensor.name, f"must be uint8, 0 to 255, not {value.dtype}")
    if not np.issubdtype(value.dtype, np.number):
        raise InputError(tensor.name, f"must be {tensor.dtype} numbers, not {value.dtype}")
    if tensor.shape == (1,) and value.size == 1:
        value = value.reshape(1)
    fits = len(value.shape) == len(tensor.shape) and all(
        want in (-1, have) for want, have in zip(tensor.shape, value.shape, strict=True)
    )
    if not fits:
        raise InputError(tensor.name, f"must have the shape {_words(tensor.shape)}, not {_words(value.shape)}")
    if any(size > tensor.max_rows for size in value.shape):
        raise InputError(tensor.name, f"is too large: {_words(value.shape)}, at most {tensor.max_rows} each way")
    return np.ascontiguousarray(value, dtype=tensor.dtype)


def _refuse_nonsense(request: Mapping[str, NDArray[Any]]) -> None:
    height, width, _ = request["image"].shape
    if min(height, width) < MIN_IMAGE_PX:
        raise InputError("image", f"is {width} x {height} pixels; at least {MIN_IMAGE_PX} each way are needed")
    if len(request["sweep"]) == 0:
        raise InputError("sweep", "has no points")
    if not np.isfinite(request["sweep"]).all():  # row by row only where something is wrong: that is 40 times slower
        broken = ~np.isfinite(request["sweep"]).all(axis=1)
        raise InputError("sweep", f"point {int(broken.argmax())} is not finite ({int(broken.sum())} such points)")
    speed = float(request["speed_mps"][0])
    if not 0 <= speed <= MAX_SPEED_MPS:
        raise InputError("speed_mps", f"must be a number from 0 to {MAX_SPEED_MPS:g} metres per second, not {speed}")
    target = request["target_point"]
    if not (np.abs(target) < MAX_TARGET_M).all():
        raise InputError("target_point", f"must be two numbers within {MAX_TARGET_M:g} metres, not {target.tolist()}")


def _words(shape: Sequence[int]) -> str:
    return "(" + ", ".join("any" if size < 0 else str(size) for size in shape) + ")"
