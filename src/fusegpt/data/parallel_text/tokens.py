"""Text <-> tokens: the bytes of UTF-8, and three tokens that stand for no byte.

Bytes need no vocabulary that would have to be learnt, kept and served with the model, in any language.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

PADDING, BEGIN, END = 0, 1, 2
FIRST_BYTE = 3
VOCAB_SIZE = FIRST_BYTE + 256

Tokens = NDArray[np.int64]


def tokens_of(text: str) -> Tokens:
    """The bytes of `text` as tokens (T,), without beginning and end."""
    return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) + FIRST_BYTE


def text_of(tokens: Iterable[int]) -> str:
    """The text up to the end token. Bytes that are no UTF-8 become U+FFFD; special tokens are left out."""
    content = bytearray()
    for token in tokens:
        if token == END:
            break
        if token >= FIRST_BYTE:
            content.append(token - FIRST_BYTE)
    return content.decode("utf-8", "replace")


def source_tokens(text: str) -> Tokens:
    """What the encoder reads: the text and the end token."""
    return np.concatenate([tokens_of(text), [END]])


def target_tokens(text: str) -> Tokens:
    """What the decoder learns: the beginning token, the text, the end token."""
    return np.concatenate([[BEGIN], tokens_of(text), [END]])


def padded(rows: Sequence[Tokens]) -> torch.Tensor:
    """Rows of any length -> (B, longest) int64, padded at their ends."""
    out = np.full((len(rows), max(len(row) for row in rows)), PADDING, np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)
