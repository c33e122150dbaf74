"""Norms over the channels of tokens, by name: one more norm is one more line of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

NormName = Literal["layernorm", "rmsnorm"]

NORMS: dict[NormName, Callable[[int], nn.Module]] = {
    "layernorm": nn.LayerNorm,
    "rmsnorm": nn.RMSNorm,
}


def norm(name: NormName, n_embd: int) -> nn.Module:
    """The norm called `name`, over the last axis of (B, T, n_embd)."""
    return NORMS[name](n_embd)
