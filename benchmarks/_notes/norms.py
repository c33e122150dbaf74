"""What each norm makes a number depend on. Shapes: B samples, T tokens, C channels."""

from __future__ import annotations

from typing import get_args

import torch

from benchmarks._notes.table import Table, Value
from fusegpt.nn.config import NormName
from fusegpt.nn.norm import norm

B, T, C = 4, 6, 32


def reach() -> Table:
    """Which numbers of the input one number of the output depends on, in training, and in evaluation."""
    columns = (
        "norm",
        "numbers it depends on",
        "other channels",
        "other tokens",
        "other samples",
        "samples, evaluation",
        "alone, difference",
    )
    return Table(columns, tuple(_row(name) for name in get_args(NormName)))


def _row(name: NormName) -> tuple[Value, ...]:
    torch.manual_seed(0)
    layer, x = norm(name, C), torch.randn(B, T, C, dtype=torch.float64) * 2 + 1
    layer.double()
    with torch.no_grad():
        alone = float((layer(x)[:1] - layer(x[:1])).abs().max())
    met = _met(layer, x)
    layer.eval()
    channels, tokens, samples = (_beyond(met, dim) for dim in (2, 1, 0))
    return f"`{name}`", int(met.sum()), channels, tokens, samples, _beyond(_met(layer, x), 0), alone


def _met(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(B, T, C) bool: the numbers that the first number of the output depends on."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(layer(x)[0, 0, 0], x)
    return slope != 0


def _beyond(met: torch.Tensor, dim: int) -> bool:
    """Whether anything but the first index of `dim` is met."""
    return bool(met.narrow(dim, 1, met.shape[dim] - 1).any())
