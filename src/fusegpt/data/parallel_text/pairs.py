"""`PairSplit`: one part of a set of text pairs, read by index.

Shapes: B batch, S source tokens, T target tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.parallel_text.tokens import padded, source_tokens, target_tokens
from fusegpt.tasks.task import Batch


@dataclass(frozen=True)
class Pair:
    """A text and its translation. `group` is what figures are split by: the language of the source."""

    source: str
    target: str
    group: str = "all"


class PairSplit:
    """Text pairs in memory."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self.pairs = list(pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """{"source" (B, S) int64, "target" (B, T) int64}, padded to the longest. There is nothing to augment."""
        del rng
        chosen = [self.pairs[index] for index in indices]
        return {
            "source": padded([source_tokens(pair.source) for pair in chosen]),
            "target": padded([target_tokens(pair.target) for pair in chosen]),
        }


def fingerprint(*splits: PairSplit) -> str:
    """sha256 of all pairs, part by part."""
    digest = hashlib.sha256()
    for split in splits:
        for pair in split.pairs:
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
        digest.update(b"\n")
    return digest.hexdigest()
