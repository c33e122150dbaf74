"""Positions of tokens: the fixed sines of the first Transformer, learnt ones, and learnt ones of a picture, resized.

Shapes: T tokens, C channels (n_embd). Vaswani et al., Attention Is All You Need, 2017, section 3.5.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.nn.config import PositionName


def sinusoidal(block_size: int, n_embd: int) -> torch.Tensor:
    """(T, C): sines in the even channels, cosines in the odd, wavelengths from 2 pi to 10000 * 2 pi."""
    place = torch.arange(block_size, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, n_embd, 2) * (-math.log(10_000.0) / n_embd))
    waves = torch.stack([(place * rate).sin(), (place * rate).cos()], dim=-1)  # (T, C/2, 2)
    return waves.flatten(1)[:, :n_embd]


class Positions(nn.Module):
    """Adds to each token what tells its place: encoded by a formula, or an embedding that is learnt."""

    table: torch.Tensor

    def __init__(self, name: PositionName, block_size: int, n_embd: int) -> None:
        super().__init__()
        if name == "sinusoidal":
            self.register_buffer("table", sinusoidal(block_size, n_embd), persistent=False)
        else:
            self.table = nn.Parameter(torch.randn(block_size, n_embd) * 0.02)

    def forward(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """(B, T, C) -> (B, T, C), the first token at place `start`. Raises ValueError beyond the last place."""
        end = start + x.shape[1]
        if end > len(self.table):
            raise ValueError(f"{end} tokens do not fit a context of {len(self.table)} (model.block_size)")
        return x + self.table[start:end]


def resized_grid(positions: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Positions of a grid of patches (1, h*w, C), interpolated for another grid: (1, H*W, C).

    Bicubic with antialiasing, as Dosovitskiy et al. (An Image is Worth 16x16 Words, 2021) fine-tune at a higher
    resolution.
    """
    if old == new:
        return positions
    grid = positions.reshape(1, *old, -1).permute(0, 3, 1, 2).float()  # (1, h*w, C) -> (1, C, h, w)
    grid = F.interpolate(grid, size=new, mode="bicubic", antialias=True, align_corners=False)
    return grid.flatten(2).transpose(1, 2).to(positions.dtype)  # (1, C, H, W) -> (1, H*W, C)
