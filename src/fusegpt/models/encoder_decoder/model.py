"""`EncoderDecoder`: a source sequence, read whole, and a target sequence, told token by token.

Shapes: B batch, S source tokens, T target tokens, C channels (n_embd), V tokens of the vocabulary.
Vaswani et al., Attention Is All You Need, 2017. One embedding for source, target and output, as there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.encoder_decoder.blocks import DecoderBlock, EncoderBlock
from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.nn.cache import KeyValues
from fusegpt.nn.cross_attention import KeysAndValues
from fusegpt.nn.norm import norm
from fusegpt.nn.positions import Positions


@dataclass(frozen=True)
class Encoded:
    """A source that has been read: the keys and values that each block of the decoder looks at.

    hidden: (B, S) bool, true at padding.
    """

    keys_and_values: tuple[KeysAndValues, ...]
    hidden: torch.Tensor

    def rows(self, rows: torch.Tensor) -> Encoded:
        """The sources at `rows` (N,), which may repeat."""
        return Encoded(tuple((k[rows], v[rows]) for k, v in self.keys_and_values), self.hidden[rows])


class EncoderDecoder(nn.Module):
    """Padding (token `padding`, at the end of a row) is never looked at."""

    def __init__(self, config: EncoderDecoderConfig, vocab_size: int, padding: int) -> None:
        super().__init__()
        self.config = config
        self.padding = padding
        self.wte = nn.Embedding(vocab_size, config.n_embd)
        self.source_positions = Positions(config.positions, config.block_size, config.n_embd)
        self.target_positions = Positions(config.positions, config.block_size, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.encoder = nn.ModuleList(EncoderBlock(config) for _ in range(config.n_layer))
        self.decoder = nn.ModuleList(DecoderBlock(config) for _ in range(config.n_layer))
        self.encoder_ln_f, self.decoder_ln_f = (_last_norm(config) for _ in range(2))
        self.apply(_init_weights)
        nn.init.normal_(self.wte.weight, std=config.n_embd**-0.5)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """(B, S) and (B, T) int64 -> logits (B, T, V): of the token after each (teacher forcing)."""
        return self.decode(target, self.encode(source))

    def encode(self, source: torch.Tensor) -> Encoded:
        """Read (B, S)."""
        hidden = source == self.padding
        x = self._embedded(source, self.source_positions)
        for block in self.encoder:
            x = block(x, hidden)
        memory = self.encoder_ln_f(x)
        return Encoded(tuple(block.cross.remember(memory) for block in self._decoder_blocks()), hidden)

    def decode(self, target: torch.Tensor, encoded: Encoded, caches: list[KeyValues] | None = None) -> torch.Tensor:
        """(B, T) -> logits (B, T, V). With `caches`, one for each block, the tokens go on from those that they hold."""
        start = caches[0].length if caches else 0
        x = self._embedded(target, self.target_positions, start)
        for i, block in enumerate(self._decoder_blocks()):
            x = block(x, encoded.keys_and_values[i], encoded.hidden, caches[i] if caches else None)
        return F.linear(self.decoder_ln_f(x), self.wte.weight)  # (B, T, C) -> (B, T, V)

    def caches(self) -> list[KeyValues]:
        """Empty caches, one for each block of the decoder."""
        return [KeyValues(self.config.block_size) for _ in self.decoder]

    def _decoder_blocks(self) -> list[DecoderBlock]:
        return [block for block in self.decoder if isinstance(block, DecoderBlock)]

    def _embedded(self, tokens: torch.Tensor, positions: Positions, start: int = 0) -> torch.Tensor:
        # The paper's section 3.4: with positions of size one, an embedding of size 1 / sqrt(C) has to be scaled up.
        x: torch.Tensor = self.drop(positions(self.wte(tokens) * math.sqrt(self.config.n_embd), start))
        return x


def _last_norm(config: EncoderDecoderConfig) -> nn.Module:
    return norm(config.norm, config.n_embd) if config.norm_place == "pre" else nn.Identity()


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
