"""The blocks of encoder and decoder, with the norm after each sum (post) or before each part (pre).

Shapes: B batch, S source tokens, T target tokens, C channels (n_embd).
Post: Vaswani et al., 2017. Pre: Xiong et al., On Layer Normalization in the Transformer Architecture, 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.nn.attention import SelfAttention
from fusegpt.nn.block import ACTIVATIONS
from fusegpt.nn.cache import KeyValues
from fusegpt.nn.cross_attention import CrossAttention, KeysAndValues
from fusegpt.nn.norm import norm


class Residual(nn.Module):
    """A part, the sum with what went in, and the norm at its place."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.norm = norm(config.norm, config.n_embd)
        self.pre = config.norm_place == "pre"

    def forward(self, x: torch.Tensor, part: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """(B, T, C) -> (B, T, C)."""
        out: torch.Tensor = x + part(self.norm(x)) if self.pre else self.norm(x + part(x))
        return out


class EncoderBlock(nn.Module):
    """Every source token looks at every other that is no padding."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.attn = _cross(config)
        self.mlp = _mlp(config)
        self.around_attn, self.around_mlp = Residual(config), Residual(config)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """(B, S, C) -> (B, S, C). `hidden` (B, S) is true at padding."""
        x = self.around_attn(x, lambda y: self.attn(y, y, hidden))
        out: torch.Tensor = self.around_mlp(x, self.mlp)
        return out


class DecoderBlock(nn.Module):
    """A target token looks at those before it, then at the source."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.attn = SelfAttention(
            config.n_embd, config.n_head, causal=True, kernel=config.attention,
            attn_pdrop=config.attn_pdrop, resid_pdrop=config.resid_pdrop,
        )  # fmt: skip
        self.cross = _cross(config)
        self.mlp = _mlp(config)
        self.around_attn, self.around_cross, self.around_mlp = (Residual(config) for _ in range(3))

    def forward(
        self, x: torch.Tensor, source: KeysAndValues, hidden: torch.Tensor, cache: KeyValues | None = None
    ) -> torch.Tensor:
        """(B, T, C) -> (B, T, C), over the source's keys and values. With `cache`, going on from what it holds."""
        x = self.around_attn(x, lambda y: self.attn(y, cache))
        x = self.around_cross(x, lambda y: self.cross.attend(y, source, hidden))
        out: torch.Tensor = self.around_mlp(x, self.mlp)
        return out


def _cross(config: EncoderDecoderConfig) -> CrossAttention:
    return CrossAttention(
        config.n_embd, config.n_head, kernel=config.attention,
        attn_pdrop=config.attn_pdrop, resid_pdrop=config.resid_pdrop,
    )  # fmt: skip


def _mlp(config: EncoderDecoderConfig) -> nn.Sequential:
    wide = config.block_exp * config.n_embd
    return nn.Sequential(
        nn.Linear(config.n_embd, wide),
        ACTIVATIONS[config.activation](),
        nn.Linear(wide, config.n_embd),
        nn.Dropout(config.resid_pdrop),
    )
