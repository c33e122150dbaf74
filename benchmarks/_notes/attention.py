"""What heads are for, why scores are divided by sqrt(d_k), and whether a token looks mostly at itself.

Shapes: B batch, T tokens, C channels, nh heads, hs head size (C / nh).
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

from benchmarks._notes.copying import trained
from benchmarks._notes.table import Table
from fusegpt.nn.attention import SelfAttention, attention_weights

KEYS = 64


def scale() -> Table:
    """How wide scores are, how one-sided their softmax, and what gradient is left, for several widths of keys."""
    rows = []
    for width in (4, 16, 64, 256, 1024):
        torch.manual_seed(0)
        q, k = torch.randn(256, 1, width), torch.randn(256, KEYS, width)
        scores = (q @ k.transpose(-2, -1)).squeeze(1)  # (256, KEYS)
        rows.append((width, float(scores.std()), *_softmax(scores), *_softmax(scores / width**0.5)))
    columns = ("d_k", "spread of q·k", "largest weight", "gradient", "divided: largest weight", "divided: gradient")
    return Table(columns, tuple((str(row[0]), *row[1:]) for row in rows))


def heads() -> Table:
    """How well one, two and four heads of the same width tell the two tokens before."""
    return Table(
        ("heads of 16 channels", "parameters", "error (share of the variance)"),
        tuple((str(n), sum(p.numel() for p in trained(n).model.parameters()), trained(n).error) for n in (1, 2, 4)),
    )


def own_weight() -> Table:
    """How much of its attention a token gives to itself, and how many tokens give the most to themselves."""
    torch.manual_seed(0)
    x = torch.randn(64, 32, 64)  # (B, T, C)
    single = x[:, None]  # (B, 1, T, C): a head of the tokens themselves
    copying = trained(2)
    with torch.no_grad():
        cases = {
            "query and key are the token itself": attention_weights(single, single),
            "projections of their own, untrained": _untrained().weights(x),
            "trained to tell the two tokens before": copying.model.weights(copying.tokens),
        }
    rows = tuple((name, *_diagonal(weights), 1 / weights.shape[-1]) for name, weights in cases.items())
    return Table(("attention", "mean weight on itself", "tokens that look most at themselves", "by chance"), rows)


@cache
def _untrained() -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(64, 4)


def _diagonal(weights: torch.Tensor) -> tuple[float, float]:
    """(B, nh, T, T) -> the mean weight on the token itself, and the share of rows where that is the largest."""
    own = weights.diagonal(dim1=-2, dim2=-1)
    most = weights.argmax(-1) == torch.arange(weights.shape[-1])
    return float(own.mean()), float(most.float().mean())


def _softmax(scores: torch.Tensor) -> tuple[float, float]:
    """(N, KEYS) -> the mean of the largest weights, and the median size of d weights / d scores (Frobenius)."""
    p = F.softmax(scores, dim=-1)
    slope = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]  # (N, KEYS, KEYS)
    return float(p.amax(-1).mean()), float(slope.flatten(1).norm(dim=1).median())
