"""`Window`: the next token from the last few, through one hidden layer: an autoregressive model of fixed order.

Shapes: B batch, T tokens, C channels (n_embd), W tokens of the window, V tokens of the vocabulary.
Bengio et al., A Neural Probabilistic Language Model, 2003.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.sequence.config import SequenceConfig
from fusegpt.models.sequence.model import SequenceModel


class Seen:
    """The embedded tokens that the next window still needs, (B, W - 1, C); none before the first call."""

    def __init__(self) -> None:
        self.last: torch.Tensor | None = None


class Window(SequenceModel):
    """Sees `window` tokens, each through the matrix of its place in the window."""

    def __init__(self, config: SequenceConfig, vocab_size: int) -> None:
        super().__init__()
        self.window = config.window
        self.wte = nn.Embedding(vocab_size, config.n_embd)
        self.mix = nn.Linear(config.window * config.n_embd, config.n_embd)
        self.drop = nn.Dropout(config.pdrop)
        self.ln_f = nn.LayerNorm(config.n_embd)
        nn.init.normal_(self.wte.weight, std=0.02)

    def memory(self) -> Seen:
        return Seen()

    def forward(self, tokens: torch.Tensor, memory: Seen | None = None) -> torch.Tensor:
        x = self.wte(tokens)  # (B, T, C)
        x = F.pad(x, (0, 0, self.window - 1, 0)) if memory is None or memory.last is None else _after(memory.last, x)
        if memory is not None:
            memory.last = x[:, x.shape[1] - (self.window - 1) :]
        windows = x.unfold(1, self.window, 1)  # (B, T + W - 1, C) -> (B, T, C, W)
        x = self.ln_f(self.drop(F.gelu(self.mix(windows.flatten(2)))))
        return F.linear(x, self.wte.weight)  # (B, T, C) -> (B, T, V)


def _after(before: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.cat([before, x], dim=1)
