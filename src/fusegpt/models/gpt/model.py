"""`GPT`: a decoder-only transformer, pre-norm, with learnt positions and a head tied to the embedding.

Shapes: B batch, T tokens, C channels (n_embd), V tokens of the vocabulary.
Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.sequence.model import SequenceModel
from fusegpt.nn.block import Block
from fusegpt.nn.cache import KeyValues
from fusegpt.nn.norm import norm


class GPT(SequenceModel):
    """(B, T) tokens -> (B, T, V) logits of the token that comes next."""

    def __init__(self, config: GPTConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.context = config.block_size
        self.wte = nn.Embedding(vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layer))
        self.ln_f = norm(config.norm, config.n_embd)
        init_weights(self, config.n_layer)

    def memory(self) -> list[KeyValues]:
        """Keys and values of each block, with room for `block_size` tokens."""
        return [KeyValues(self.context) for _ in self.blocks]

    def forward(self, tokens: torch.Tensor, memory: list[KeyValues] | None = None) -> torch.Tensor:
        """Raises ValueError where the tokens and those in `memory` are more than `block_size`."""
        before, new = memory[0].length if memory else 0, tokens.shape[1]
        if before + new > self.context:
            raise ValueError(f"{before + new} tokens are more than model.block_size ({self.context})")
        positions = torch.arange(before, before + new, device=tokens.device)
        x = self.drop(self.wte(tokens) + self.wpe(positions))  # (B, T) -> (B, T, C)
        for i, block in enumerate(self.blocks):
            x = block(x, memory[i] if memory else None)
        return F.linear(self.ln_f(x), self.wte.weight)  # (B, T, C) -> (B, T, V)


def init_weights(model: nn.Module, n_layer: int) -> None:
    """GPT-2's: N(0, 0.02), biases 0, and what adds to the residual stream smaller, so that its sum is not."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Linear):
            adds = name.endswith(("attn.proj", "mlp.2"))
            nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * n_layer) if adds else 0.02)
            nn.init.zeros_(module.bias)


def _block(config: GPTConfig) -> Block:
    return Block(
        config.n_embd,
        config.n_head,
        block_exp=config.block_exp,
        attn_pdrop=config.attn_pdrop,
        resid_pdrop=config.resid_pdrop,
        activation="gelu_tanh",
        norm_name=config.norm,
        causal=True,
        kernel=config.attention,
    )
