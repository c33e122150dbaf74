"""`Recurrent`: the next token from a state that each token changes.

Shapes: B batch, T tokens, C channels (n_embd), V tokens of the vocabulary.
Elman, Finding Structure in Time, 1990 (rnn); Hochreiter and Schmidhuber, 1997 (lstm); Cho et al., 2014 (gru).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.sequence.config import SequenceConfig
from fusegpt.models.sequence.model import SequenceModel
from fusegpt.nn.recurrent import CELLS, CellName, State


class Carried:
    """The state after the last token; none before the first."""

    def __init__(self) -> None:
        self.state: State | None = None


class Recurrent(SequenceModel):
    """Layers of one recurrent cell between an embedding and the head that is tied to it."""

    def __init__(self, config: SequenceConfig, cell: CellName, vocab_size: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, config.n_embd)
        # PyTorch drops between layers only, and warns where there is one.
        between = config.pdrop if config.n_layer > 1 else 0.0
        self.cells = CELLS[cell](config.n_embd, config.n_embd, config.n_layer, batch_first=True, dropout=between)
        self.drop = nn.Dropout(config.pdrop)
        self.ln_f = nn.LayerNorm(config.n_embd)
        nn.init.normal_(self.wte.weight, std=0.02)

    def memory(self) -> Carried:
        return Carried()

    def forward(self, tokens: torch.Tensor, memory: Carried | None = None) -> torch.Tensor:
        x, state = self.cells(self.wte(tokens), memory.state if memory else None)  # (B, T, C)
        if memory is not None:
            memory.state = state
        return F.linear(self.ln_f(self.drop(x)), self.wte.weight)  # (B, T, C) -> (B, T, V)
