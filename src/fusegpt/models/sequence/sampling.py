"""How the next token is drawn from a distribution.

Shapes: B batch, V tokens of the vocabulary.
"""

from __future__ import annotations

import torch

from fusegpt.models.sequence.config import Sampling


def probabilities(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """(B, V) -> (B, V), rows summing to 1: 0 for tokens that are not drawn."""
    if sampling.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits.float() / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        logits = _keep(logits, torch.arange(logits.shape[-1], device=logits.device) < sampling.top_k)
    if sampling.top_p < 1:
        likeliest = logits.softmax(-1).sort(-1, descending=True).values
        # A token stays while those before it do not hold top_p yet: so the likeliest always does.
        logits = _keep(logits, likeliest.cumsum(-1) - likeliest < sampling.top_p)
    return logits.softmax(-1)


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> torch.Tensor:
    """(B, V) -> (B, 1) token numbers.

    One number between 0 and 1 picks in every row: a row's token does not depend on how many rows there are.
    """
    reached = probabilities(logits, sampling).double().cumsum(-1)  # (B, V), growing to 1
    mark = torch.rand((), generator=generator, dtype=torch.float64).item() * reached[:, -1:]
    # The first token that lies above the mark, so that it is never one of probability 0.
    return (reached <= mark).sum(-1, keepdim=True)


def _keep(logits: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """The logits of the ranks, likeliest first, that are True; -inf for the others. ranks: (V,) or (B, V)."""
    ordered, order = logits.sort(stable=True, dim=-1, descending=True)
    return torch.empty_like(logits).scatter_(-1, order, ordered.masked_fill(~ranks, float("-inf")))
