"""Recurrent cells by name, as PyTorch has them: (B, T, in) and a state -> (B, T, out) and the next state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

CellName = Literal["rnn", "lstm", "gru"]

# One tensor (layers, B, out), or two of them for the LSTM.
State = torch.Tensor | tuple[torch.Tensor, torch.Tensor]

CELLS: dict[CellName, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
