"""`SequenceModel`: what every model of the next token can do, so that one task trains, judges and serves them all.

Shapes: B batch, T tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# What a model keeps between two calls; only the model that made it knows what is in it.
Memory = Any


class SequenceModel(nn.Module):
    """Tells each token of a sequence from those before it."""

    # The longest sequence that the model can take, over all calls with one memory; 0 where any length is right.
    context: int = 0

    def memory(self) -> Memory:
        """A new memory: with it, `forward` goes on where the call before with the same memory ended."""
        raise NotImplementedError

    def forward(self, tokens: torch.Tensor, memory: Memory = None) -> torch.Tensor:
        """(B, T) int64 -> logits (B, T, V): at each place, of the token that comes next."""
        raise NotImplementedError

    def nats(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """How surprising each target is, -ln p: (B, T) and (B, T) -> (B, T)."""
        logits: torch.Tensor = self(tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)

    def look_at(self, tokens: torch.Tensor) -> None:
        """Be shown the whole training text, (N,), once before training. A model that counts, counts."""
        del tokens
