"""A task that needs two looks at once: each token tells the values of the two tokens before it, around the end.

Shapes: B batch, T tokens, C channels. The first 8 channels of a token are its place (one-hot), the next 4 its value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F

from fusegpt.nn.attention import SelfAttention

T, C, VALUE = 8, 16, 4
STEPS = 400


@dataclass(frozen=True)
class Trained:
    """An attention layer after training; its `error`, as share of the variance, on unseen `tokens` (B, T, C)."""

    model: SelfAttention
    tokens: torch.Tensor
    error: float


@cache
def trained(n_head: int) -> Trained:
    """One attention layer of `n_head` heads, trained for 400 steps."""
    torch.manual_seed(0)
    model = SelfAttention(C, n_head)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model, tokens(64)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    unseen = tokens(256)
    with torch.no_grad():
        return Trained(model, unseen, float(loss(model, unseen)))


def tokens(count: int) -> torch.Tensor:
    """(count, T, C): each token's place and a value drawn at random, of variance 1."""
    place = 3 * torch.eye(T).expand(count, T, T)
    return torch.cat([place, torch.randn(count, T, VALUE), torch.zeros(count, T, C - T - VALUE)], dim=-1)


def loss(model: SelfAttention, x: torch.Tensor) -> torch.Tensor:
    """The mean squared error of the two values before; what is told is the first 8 channels of the output."""
    value = x[..., T : T + VALUE]
    wanted = torch.cat([value.roll(1, dims=1), value.roll(2, dims=1)], dim=-1)
    told: torch.Tensor = model(x)
    return F.mse_loss(told[..., : 2 * VALUE], wanted)
