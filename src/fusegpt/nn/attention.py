"""`SelfAttention`: multi-head self-attention with one fused query-key-value projection.

Shapes: B batch, T tokens, C channels (n_embd), nh heads (n_head), hs head size (C / nh).
Vaswani et al., Attention Is All You Need, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.nn.cache import KeyValues

AttentionKernel = Literal["sdpa", "math"]


class SelfAttention(nn.Module):
    """Self-attention over tokens; `causal` lets a token see only itself and what came before it.

    kernel: "sdpa" is PyTorch's fused kernel, "math" the softmax written out, the reference that "sdpa" is held to.
    """

    def __init__(
        self,
        n_embd: int,
        n_head: int,
        *,
        attn_pdrop: float = 0.0,
        resid_pdrop: float = 0.0,
        causal: bool = False,
        kernel: AttentionKernel = "sdpa",
    ) -> None:
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"n_embd ({n_embd}) must be a multiple of n_head ({n_head})")
        self.n_head = n_head
        self.attn_pdrop = attn_pdrop
        self.causal = causal
        self.kernel = kernel
        self.qkv = nn.Linear(n_embd, 3 * n_embd)
        self.proj = nn.Linear(n_embd, n_embd)
        self.resid_drop = nn.Dropout(resid_pdrop)

    def forward(self, x: torch.Tensor, cache: KeyValues | None = None) -> torch.Tensor:
        """(B, T, C) -> (B, T, C). With `cache`, the tokens go on from those that it holds, and are added to it."""
        q, k, v = self._heads(x)
        if cache is not None:
            k, v = cache.append(k, v)
        dropout = self.attn_pdrop if self.training else 0.0
        if self.kernel == "math":
            y = F.dropout(attention_weights(q, k, self.causal), dropout) @ v
        elif self.causal and q.shape[-2] < k.shape[-2]:
            # is_causal would line up the first query with the first key; here the last ones belong together.
            seen = None if q.shape[-2] == 1 else ~later(q, k)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
        else:
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.causal)
        y = y.transpose(1, 2).flatten(2)  # (B, nh, T, hs) -> (B, T, C)
        out: torch.Tensor = self.resid_drop(self.proj(y))
        return out

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """How much each token looks at each: (B, T, C) -> (B, nh, T, T), rows summing to 1, without dropout."""
        q, k, _ = self._heads(x)
        return attention_weights(q, k, self.causal)

    def _heads(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        B, T, C = x.shape
        # (B, T, 3C) -> (B, T, 3, nh, hs) -> (3, B, nh, T, hs)
        qkv = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return q, k, v


def attention_weights(q: torch.Tensor, k: torch.Tensor, causal: bool = False) -> torch.Tensor:
    """softmax(q k^T / sqrt(hs)), written out: (B, nh, T, hs) and (B, nh, S, hs) -> (B, nh, T, S)."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(later(q, k), float("-inf"))
    return scores.softmax(-1)


def later(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Which of S keys come after each of T queries, (T, S); the last query is the last key's token."""
    T, S = q.shape[-2], k.shape[-2]
    return torch.ones(T, S, dtype=torch.bool, device=q.device).triu(1 + S - T)


@contextmanager
def recorded_attention(module: nn.Module) -> Iterator[list[torch.Tensor]]:
    """While open, every SelfAttention within `module` adds its (B, nh, T, T) weights to the list, in running order."""
    maps: list[torch.Tensor] = []

    def record(attention: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(attention, SelfAttention)
        maps.append(attention.weights(inputs[0]))

    hooks = [m.register_forward_pre_hook(record) for m in module.modules() if isinstance(m, SelfAttention)]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
