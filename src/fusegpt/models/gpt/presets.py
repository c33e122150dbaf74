"""`PRESETS`: the four published sizes of GPT-2, under which their weights can be loaded."""

from __future__ import annotations

from types import MappingProxyType

from fusegpt.models.gpt.config import GPTConfig

VOCAB_SIZE = 50257
CONTEXT = 1024


def _size(n_layer: int, n_head: int, n_embd: int) -> GPTConfig:
    return GPTConfig(block_size=CONTEXT, n_layer=n_layer, n_head=n_head, n_embd=n_embd)


PRESETS: MappingProxyType[str, GPTConfig] = MappingProxyType(
    {
        "gpt2": _size(12, 12, 768),
        "gpt2-medium": _size(24, 16, 1024),
        "gpt2-large": _size(36, 20, 1280),
        "gpt2-xl": _size(48, 25, 1600),
    }
)
