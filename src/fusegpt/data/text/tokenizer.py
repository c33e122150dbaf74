"""Tokenizers: bytes, and byte-level BPE learnt on the data. Both turn any text into tokens and back without loss.

Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016 (BPE); GPT-2, 2019 (on bytes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import decoders, models, pre_tokenizers, trainers

from fusegpt.data.sample import DataError
from fusegpt.data.text.config import TextData

BYTES = "byte"
KEPT_AS = "vocabulary._extra_state"  # the name of a tokenizer among the weights


class Tokenizer(Protocol):
    """Text <-> token numbers."""

    @property
    def size(self) -> int:
        """How many different tokens there are."""
        ...

    def encode(self, text: str) -> NDArray[np.int64]: ...

    def decode(self, tokens: NDArray[np.int64]) -> str:
        """The text of tokens; what is no character of UTF-8 becomes U+FFFD."""
        ...

    def byte_counts(self) -> NDArray[np.int64]:
        """(size,): how many bytes of UTF-8 each token stands for."""
        ...

    def to_text(self) -> str:
        """All that it is, readable back by `from_text`."""
        ...


class ByteTokenizer:
    """A token is a byte of UTF-8."""

    size = 256

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int64)

    def decode(self, tokens: NDArray[np.int64]) -> str:
        return bytes(tokens.astype(np.uint8)).decode(errors="replace")

    def byte_counts(self) -> NDArray[np.int64]:
        return np.ones(256, np.int64)

    def to_text(self) -> str:
        return BYTES


class BpeTokenizer:
    """Byte-level BPE of the `tokenizers` package."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = inner

    @property
    def size(self) -> int:
        return int(self._inner.get_vocab_size())

    def encode(self, text: str) -> NDArray[np.int64]:
        return np.array(self._inner.encode(text).ids, np.int64)

    def decode(self, tokens: NDArray[np.int64]) -> str:
        # A model may have more tokens than its tokenizer learnt; those say nothing.
        return str(self._inner.decode([int(token) for token in tokens if token < self.size]))

    def byte_counts(self) -> NDArray[np.int64]:
        # Byte-level BPE writes each byte as one character.
        return np.array([len(self._inner.id_to_token(token) or "") for token in range(self.size)], np.int64)

    def to_text(self) -> str:
        return str(self._inner.to_str())


def learn(text: str, config: TextData) -> Tokenizer:
    """The tokenizer that the settings ask for, learnt on the training block where it has to be.

    Raises DataError naming `data.tokenizer_file` or `data.vocab_size`.
    """
    if config.tokenizer == "byte":
        return ByteTokenizer()
    inner = _read(Path(config.tokenizer_file).expanduser()) if config.tokenizer_file else _train(text, config)
    if inner.get_vocab_size() > config.vocab_size:
        raise DataError(
            f"data.vocab_size: is {config.vocab_size}, but {config.tokenizer_file} has {inner.get_vocab_size()} tokens"
        )
    return BpeTokenizer(inner)


def from_text(text: str) -> Tokenizer:
    """The tokenizer that `to_text` wrote."""
    return ByteTokenizer() if text == BYTES else BpeTokenizer(tokenizers.Tokenizer.from_str(text))


def _train(text: str, config: TextData) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator([text], trainer)
    return inner


def of_checkpoint(file: Path) -> str:
    """The tokenizer, as `to_text` wrote it, that a language model's checkpoint holds; empty where it holds none."""
    with safe_open(file, framework="np") as saved:
        names = [name for name in saved.keys() if name.endswith(KEPT_AS)]  # noqa: SIM118
        return bytes(saved.get_tensor(names[0])).decode().strip("\0") if names else ""


def _read(file: Path) -> tokenizers.Tokenizer:
    try:
        kept = file.suffix == ".safetensors"
        inner = tokenizers.Tokenizer.from_str(of_checkpoint(file) if kept else file.read_text(encoding="utf-8"))
    except Exception as error:  # the package raises nothing more particular
        raise DataError(f"data.tokenizer_file: {file} cannot be read ({error})") from None
    if not isinstance(inner.decoder, decoders.ByteLevel):
        raise DataError(f"data.tokenizer_file: {file} is no byte-level BPE, such as GPT-2's")
    return inner
