"""`CrossAttention`: queries of one sequence, keys and values of another, which may be padded at its end.

Shapes: B batch, T tokens that look, S tokens looked at, C channels (n_embd), nh heads, hs head size (C / nh).
Vaswani et al., Attention Is All You Need, 2017. With a sequence over itself it is self-attention that knows padding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.nn.attention import AttentionKernel

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


class CrossAttention(nn.Module):
    """kernel: "sdpa" is PyTorch's fused kernel, "math" the softmax written out, the reference it is held to."""

    def __init__(
        self,
        n_embd: int,
        n_head: int,
        *,
        attn_pdrop: float = 0.0,
        resid_pdrop: float = 0.0,
        kernel: AttentionKernel = "sdpa",
    ) -> None:
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"n_embd ({n_embd}) must be a multiple of n_head ({n_head})")
        self.n_head = n_head
        self.attn_pdrop = attn_pdrop
        self.kernel = kernel
        self.q = nn.Linear(n_embd, n_embd)
        self.kv = nn.Linear(n_embd, 2 * n_embd)
        self.proj = nn.Linear(n_embd, n_embd)
        self.resid_drop = nn.Dropout(resid_pdrop)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, C) over (B, S, C) -> (B, T, C). `hidden` (B, S) is true where nobody may look."""
        return self.attend(x, self.remember(memory), hidden)

    def remember(self, memory: torch.Tensor) -> KeysAndValues:
        """Keys and values of (B, S, C), each (B, nh, S, hs): computed once, looked at as often as is needed."""
        k, v = self.kv(memory).chunk(2, dim=-1)
        return self._heads(k), self._heads(v)

    def attend(self, x: torch.Tensor, remembered: KeysAndValues, hidden: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, C) over remembered keys and values -> (B, T, C)."""
        q, (k, v) = self._heads(self.q(x)), remembered
        dropout = self.attn_pdrop if self.training else 0.0
        if self.kernel == "math":
            y = F.dropout(padded_attention_weights(q, k, hidden), dropout) @ v
        else:
            seen = None if hidden is None else ~hidden[:, None, None, :]
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
        y = y.transpose(1, 2).flatten(2)  # (B, nh, T, hs) -> (B, T, C)
        out: torch.Tensor = self.resid_drop(self.proj(y))
        return out

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        # (B, T, C) -> (B, T, nh, hs) -> (B, nh, T, hs)
        return x.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)


def padded_attention_weights(q: torch.Tensor, k: torch.Tensor, hidden: torch.Tensor | None = None) -> torch.Tensor:
    """softmax(q k^T / sqrt(hs)) with minus infinity where `hidden` (B, S) is true: -> (B, nh, T, S)."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None, None, :], float("-inf"))
    return scores.softmax(-1)
