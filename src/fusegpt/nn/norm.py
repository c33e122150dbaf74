"""Norms of tokens, by name: one more norm is one more line of the table.

Shapes: B batch, T tokens, C channels (n_embd). Each takes (B, T, C) and learns a scale and a shift for each channel.

    layernorm     each token by itself, over its channels             Ba et al., 2016
    rmsnorm       the same without centring, and without a shift      Zhang and Sennrich, 2019
    groupnorm     each token by itself, over each group of channels   Wu and He, 2018
    instancenorm  each channel of each sample, over its tokens        Ulyanov et al., 2016
    batchnorm     each channel, over all tokens of all samples        Ioffe and Szegedy, 2015
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fusegpt.nn.config import NormName

MAX_GROUPS = 8


class TokenGroupNorm(nn.Module):
    """(B, T, C) -> (B, T, C). Group statistics within each token: PyTorch's own would take in the other tokens."""

    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups(n_embd), n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x.flatten(0, 1))  # (B, T, C) -> (B*T, C)
        return y.view_as(x)


class TokenInstanceNorm(nn.Module):
    """(B, T, C) -> (B, T, C). The statistics of each channel over the T tokens of one sample."""

    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(n_embd, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x.transpose(1, 2))  # (B, T, C) -> (B, C, T)
        return y.transpose(1, 2)


class TokenBatchNorm(nn.Module):
    """(B, T, C) -> (B, T, C). The statistics of each channel over B*T tokens; in evaluation those of training."""

    def __init__(self, n_embd: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x.flatten(0, 1))  # (B, T, C) -> (B*T, C)
        return y.view_as(x)


NORMS: dict[NormName, Callable[[int], nn.Module]] = {
    "layernorm": nn.LayerNorm,
    "rmsnorm": nn.RMSNorm,
    "groupnorm": TokenGroupNorm,
    "instancenorm": TokenInstanceNorm,
    "batchnorm": TokenBatchNorm,
}


def norm(name: NormName, n_embd: int) -> nn.Module:
    """The norm called `name`, of tokens (B, T, n_embd)."""
    return NORMS[name](n_embd)


def groups(n_embd: int) -> int:
    """How many groups of channels: the most that divide `n_embd`, at most 8."""
    return next(count for count in range(min(MAX_GROUPS, n_embd), 0, -1) if n_embd % count == 0)
