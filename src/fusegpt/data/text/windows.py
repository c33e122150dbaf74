"""Text as training reads it: tokens in memory-mapped files, made once, in windows of `block_size` tokens.

<cache>/text-<key>/tokenizer.txt      what turns text into these tokens
                  /{train,val,test}.npy   (N,) int32
                  /manifest.json      their lengths and the fingerprint, written last

Shapes: B batch, T tokens of a window (block_size), N tokens of a block.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.data.packing import MANIFEST, ensure
from fusegpt.data.sample import DataError
from fusegpt.data.text.config import TextData
from fusegpt.data.text.source import blocks, read_text
from fusegpt.data.text.tokenizer import Tokenizer, from_text, learn
from fusegpt.tasks.task import Batch, Splits

FORMAT = 1
PARTS = ("train", "val", "test")
TOKENIZER = "tokenizer.txt"


@dataclass(frozen=True)
class Text:
    """An opened text: its three parts, its tokenizer, and all training tokens in a row, (N,)."""

    splits: Splits
    tokenizer: Tokenizer
    train: NDArray[np.int32]


class Windows:
    """One block, in windows that do not overlap. With `rng`, all begin the same number of tokens later."""

    def __init__(self, tokens: NDArray[np.int32], block_size: int, byte_counts: NDArray[np.int64]) -> None:
        self.tokens = tokens
        self.block_size = block_size
        judged = tokens[1 : 1 + len(self) * block_size]
        # Bits per byte is a ratio of two sums. Divided by the mean number of bytes of all windows, rather than by its
        # own, each window's bits have a mean that is exactly this ratio.
        self.mean_bytes = float(byte_counts[judged].sum() / max(1, len(self)))

    def __len__(self) -> int:
        return max(0, len(self.tokens) - 1) // self.block_size

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """{"tokens" (B, T) int64, "targets" (B, T) int64: the token after each, "mean_bytes" (B,) float32}."""
        shift = int(rng.integers(self.block_size)) if rng is not None else 0
        starts = np.minimum(indices * self.block_size + shift, len(self.tokens) - self.block_size - 1)
        rows = self.tokens[starts[:, None] + np.arange(self.block_size + 1)]  # (B, T + 1)
        whole = torch.from_numpy(rows.astype(np.int64))
        return {
            "tokens": whole[:, :-1],
            "targets": whole[:, 1:],
            "mean_bytes": torch.full((len(indices),), self.mean_bytes),
        }


def open_text(config: TextData, cache: Path) -> Text:
    """The text of the settings, as tokens kept under `cache`. Raises DataError naming the file or the setting."""
    text = read_text(config)
    folder = Path(cache) / f"text-{_key(config, text)}"
    ensure(folder, _is_whole, lambda temporary: _write(text, config, temporary))
    tokenizer = from_text((folder / TOKENIZER).read_text(encoding="utf-8"))
    tokens = {part: np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False) for part in PARTS}
    counts = tokenizer.byte_counts()
    parts = {part: Windows(tokens[part], config.block_size, counts) for part in PARTS}
    for part in ("train", "val"):
        if not len(parts[part]):
            raise DataError(
                f"data.block_size: the {part} block has {len(tokens[part])} tokens; take a longer text (data.path), a "
                f"larger data.val_fraction, or fewer tokens than {config.block_size}"
            )
    fingerprint = str(json.loads((folder / MANIFEST).read_text())["fingerprint"])
    return Text(Splits(**parts, fingerprint=fingerprint), tokenizer, tokens["train"])


def _key(config: TextData, text: str) -> str:
    """Names what the tokens were made of: the settings that reach them, and the content of every source file."""
    settings = config.model_dump(mode="json", exclude={"path", "block_size", "tokenizer_file"})
    digest = hashlib.sha256(json.dumps([FORMAT, settings], sort_keys=True).encode())
    digest.update(text.encode())
    file = Path(config.tokenizer_file).expanduser()
    if config.tokenizer_file and file.is_file():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _write(text: str, config: TextData, folder: Path) -> None:
    parts = blocks(text, config)
    tokenizer = learn(parts["train"], config)
    written = tokenizer.to_text()
    digest = hashlib.sha256(written.encode())
    lengths = {}
    for part in PARTS:
        tokens = tokenizer.encode(parts[part]).astype(np.int32)
        np.save(folder / f"{part}.npy", tokens, allow_pickle=False)
        digest.update(tokens.tobytes())
        lengths[part] = len(tokens)
    (folder / TOKENIZER).write_text(written, encoding="utf-8")
    manifest = {"tokens": lengths, "fingerprint": digest.hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _is_whole(folder: Path) -> bool:
    """The folder takes its name when it is complete, so its last file tells."""
    return (folder / MANIFEST).is_file()
