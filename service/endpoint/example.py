"""A made-up request that fits a signature, to warm a model and to see that it answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusegpt.signature import Signature, Tensor

IMAGE_SIZE = (96, 320)
ROWS = 256


def example(signature: Signature, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """One request by input name, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return {tensor.name: _value(tensor, rng) for tensor in signature.inputs}


def _value(tensor: Tensor, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    shape = _shape(tensor)
    if tensor.media == "text" or tensor.dtype == "text":
        return np.asarray(tensor.example or "warm")
    if tensor.media == "image":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if tensor.media == "sweep":
        return rng.uniform(-20.0, 20.0, shape).astype(np.float32)
    return np.zeros(shape, dtype=tensor.dtype)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    if tensor.media == "image":
        free = (*IMAGE_SIZE, 3)
        return tuple(free[i] if size < 0 else size for i, size in enumerate(tensor.shape))
    return tuple(min(ROWS, tensor.max_rows) if size < 0 else size for size in tensor.shape)
