"""`TextData`: text as windows of tokens, in blocks of training, validation and test with a gap between them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fusegpt.config import Config


class TextData(Config):
    """One text. Without a path: the English text that ships with Python, its language reference by topic."""

    source: Literal["text"] = Field(default="text", description="Where the samples come from.")
    path: str = Field(default="", description="A text file in UTF-8; empty takes Python's own reference (460 kB).")
    tokenizer: Literal["byte", "bpe"] = Field(
        default="byte", description="Tokens are bytes, or the merges of a byte-level BPE learnt on the training block."
    )
    vocab_size: int = Field(default=1024, ge=257, le=1_000_000, description="Tokens of the BPE; bytes are always 256.")
    tokenizer_file: str = Field(
        default="", description="A tokenizer.json, or a checkpoint's model.safetensors, whose BPE is taken (bpe)."
    )
    block_size: int = Field(default=128, ge=2, description="Tokens of one sample.")
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of the text for validation.")
    test_fraction: float = Field(default=0.1, ge=0, lt=1, description="Share of the text for the test.")
    gap_chars: int = Field(default=1000, ge=0, description="Characters left out between two blocks.")

    @model_validator(mode="after")
    def _leaves_training(self) -> TextData:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.val_fraction + data.test_fraction ({self.val_fraction} + {self.test_fraction}) must be below 1"
            )
        if self.tokenizer_file and self.tokenizer != "bpe":
            raise ValueError(f"data.tokenizer_file needs data.tokenizer bpe, not {self.tokenizer}")
        return self

    @property
    def tokens(self) -> int:
        """How many different tokens there are."""
        return 256 if self.tokenizer == "byte" else self.vocab_size
