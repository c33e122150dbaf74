"""`RowRecurrent`: a picture as a sequence of its rows, from the top.

Shapes: B batch, H rows of W pixels, C width of the state (n_embd), K classes.
Hochreiter and Schmidhuber, Long Short-Term Memory, 1997 (lstm); Elman, 1990 (rnn); Cho et al., 2014 (gru).
"""

from __future__ import annotations

import torch
from torch import nn

from fusegpt.models.row_recurrent.config import RowRecurrentConfig
from fusegpt.nn.recurrent import CELLS


class RowRecurrent(nn.Module):
    """28 steps of 28 numbers for a digit of MNIST's size."""

    def __init__(self, config: RowRecurrentConfig, image_px: int, classes: int) -> None:
        super().__init__()
        # PyTorch drops between layers only, and warns where there is one.
        between = config.pdrop if config.n_layer > 1 else 0.0
        self.cells = CELLS[config.cell](image_px, config.n_embd, config.n_layer, batch_first=True, dropout=between)
        self.drop = nn.Dropout(config.pdrop)
        self.head = nn.Linear(config.n_embd, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) uint8 -> logits (B, K)."""
        rows = image.squeeze(1).float() / 255  # (B, 1, H, W) -> (B, H, W): H steps of W numbers
        states, _ = self.cells(rows)  # (B, H, C)
        logits: torch.Tensor = self.head(self.drop(states[:, -1]))
        return logits
