"""`Markov`: the next token from the present one alone, by how often each pair was seen.

p(b | a) = (n(a, b) + k p(b)) / (n(a) + k): counted pairs, leaning on the single frequencies p(b) by a pseudo-count k.
Counting is exact and is done once. What is learnt by gradient is k alone, and on the likelihood of each pair given all
others (leave-one-out; Ney, Essen and Kneser, 1994), for on the counted text itself the best k would always be 0.

Shapes: B batch, T tokens, V tokens of the vocabulary, N tokens of the training text.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from fusegpt.models.sequence.model import SequenceModel


class Markov(SequenceModel):
    """A Markov chain of order 1."""

    pairs: torch.Tensor
    singles: torch.Tensor

    def __init__(self, vocab_size: int, pseudo_count: float) -> None:
        super().__init__()
        self.log_k = nn.Parameter(torch.tensor(math.log(pseudo_count)))
        self.register_buffer("pairs", torch.zeros(vocab_size, vocab_size))  # (V, V): how often b came after a
        self.register_buffer("singles", torch.full((vocab_size,), 1 / vocab_size))  # (V,): p(b)

    def look_at(self, tokens: torch.Tensor) -> None:
        """Count the pairs of a text, (N,)."""
        V = len(self.pairs)
        places = tokens[:-1] * V + tokens[1:]  # (N,): one number a pair
        self.pairs.copy_(torch.bincount(places, minlength=V * V).view(V, V))
        # Every token may come: as if each had been seen once more.
        self.singles.copy_((torch.bincount(tokens, minlength=V) + 1) / (len(tokens) + V))

    def memory(self) -> None:
        """Nothing: the present token is all that it needs to know."""

    def forward(self, tokens: torch.Tensor, memory: None = None) -> torch.Tensor:
        del memory
        pairs, k = self.pairs[tokens], self.log_k.exp()  # (B, T, V)
        chances: torch.Tensor = (pairs + k * self.singles) / (pairs.sum(-1, keepdim=True) + k)
        return chances.log()

    def nats(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """In training, each pair is judged by all the others."""
        own = 1.0 if self.training else 0.0
        k = self.log_k.exp()
        seen = (self.pairs[tokens, targets] - own).clamp(min=0)  # (B, T)
        total = (self.pairs.sum(-1)[tokens] - own).clamp(min=0)  # (B, T)
        chance: torch.Tensor = (seen + k * self.singles[targets]) / (total + k)
        return -chance.log()


def entropy_rate(transitions: torch.Tensor, stationary: torch.Tensor) -> torch.Tensor:
    """The closed form, in nats a token: -sum_a pi(a) sum_b p(b|a) ln p(b|a), of (V, V) rows p(.|a) and (V,) pi."""
    rate: torch.Tensor = (stationary[:, None] * torch.special.xlogy(transitions, transitions)).sum().neg()
    return rate
