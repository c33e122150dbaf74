"""The original code's results, and its state dicts, which are drawn from the names of their parameters."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

COPIES = Path(__file__).parents[2] / "fixtures"
TOLERANCE = 2e-5


def reference_weight(name: str, shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """The value of the parameter `name`, the same on every machine."""
    rng = np.random.default_rng(zlib.crc32(f"{seed}:{name}".encode()))
    x = rng.standard_normal(tuple(shape)).astype(np.float32)
    if name.endswith("running_var"):
        value = np.abs(x) * 0.2 + 0.8
    elif name.endswith("running_mean") or len(shape) not in (1, 4):
        value = x * 0.05
    elif len(shape) == 4:
        value = x / np.sqrt(np.prod(shape[1:]))
    else:
        value = 1 + 0.1 * x if name.endswith("weight") else x * 0.05
    return np.asarray(value, dtype=np.float32)


def original_state(parameters: Mapping[str, Sequence[int]], seed: int) -> dict[str, torch.Tensor]:
    """The state dict of the original module, in the order of its parameters."""
    return {name: torch.from_numpy(reference_weight(name, shape, seed)) for name, shape in parameters.items()}


def results(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What the .json says, and the arrays of the .npz."""
    path = folder / f"{name}.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return said, {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def assert_agrees(ours: torch.Tensor, reference: torch.Tensor) -> None:
    """Within 2e-5 of the largest value of the reference."""
    assert ours.shape == reference.shape
    worst = float((ours.detach() - reference).abs().max()) / float(reference.abs().max())
    assert worst <= TOLERANCE, f"off by {worst:.2e} of the largest value"
