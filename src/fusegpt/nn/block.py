"""`Block`: a pre-norm transformer block, x + attention(norm(x)), then x + mlp(norm(x)).

Shapes: B batch, T tokens, C channels (n_embd).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import nn

from fusegpt.nn.attention import AttentionKernel, SelfAttention
from fusegpt.nn.cache import KeyValues
from fusegpt.nn.config import NormName
from fusegpt.nn.norm import norm

ActivationName = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[ActivationName, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),  # GPT-2's
}


class Block(nn.Module):
    """(B, T, C) -> (B, T, C). The MLP is `block_exp` times as wide inside."""

    def __init__(
        self,
        n_embd: int,
        n_head: int,
        *,
        block_exp: int = 4,
        attn_pdrop: float = 0.0,
        resid_pdrop: float = 0.0,
        activation: ActivationName = "relu",
        norm_name: NormName = "layernorm",
        causal: bool = False,
        kernel: AttentionKernel = "sdpa",
    ) -> None:
        super().__init__()
        self.ln1 = norm(norm_name, n_embd)
        self.attn = SelfAttention(
            n_embd, n_head, attn_pdrop=attn_pdrop, resid_pdrop=resid_pdrop, causal=causal, kernel=kernel
        )
        self.ln2 = norm(norm_name, n_embd)
        self.mlp = nn.Sequential(
            nn.Linear(n_embd, block_exp * n_embd),
            ACTIVATIONS[activation](),
            nn.Linear(block_exp * n_embd, n_embd),
            nn.Dropout(resid_pdrop),
        )

    def forward(self, x: torch.Tensor, cache: KeyValues | None = None) -> torch.Tensor:
        x = x + self.attn(self.ln1(x), cache)
        x = x + self.mlp(self.ln2(x))
        return x
