"""`LanguageModel`: a sequence model with its tokenizer, so that a checkpoint can read and write text by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.data.text.tokenizer import Tokenizer, from_text
from fusegpt.models.sequence.config import Sampling
from fusegpt.models.sequence.generate import generate
from fusegpt.models.sequence.model import SequenceModel


class Vocabulary(nn.Module):
    """A tokenizer that is saved and loaded with the weights, as the bytes of its text."""

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def get_extra_state(self) -> torch.Tensor:
        text = self.tokenizer.to_text() if self.tokenizer else ""
        return torch.frombuffer(bytearray(text.encode() or b"\0"), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        text = bytes(state.cpu().numpy()).decode().strip("\0")
        self.tokenizer = from_text(text) if text else None


class LanguageModel(nn.Module):
    """Tokens and targets, both (B, T), -> how surprising each target is, in nats, (B, T)."""

    def __init__(self, network: SequenceModel, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.network = network
        self.vocabulary = Vocabulary(tokenizer)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.network.nats(tokens, targets)

    @property
    def tokenizer(self) -> Tokenizer:
        assert self.vocabulary.tokenizer is not None, "the tokenizer comes with the data or with the weights"
        return self.vocabulary.tokenizer

    def go_on(self, texts: Sequence[str], sampling: Sampling) -> list[str]:
        """What the model writes after each text; after the end of a line where that is empty."""
        prompts = [self.tokenizer.encode(text or "\n") for text in texts]
        written = [""] * len(texts)
        for length in {len(prompt) for prompt in prompts}:
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            for row, tokens in zip(
                rows, self._written(np.stack([prompts[row] for row in rows]), sampling), strict=True
            ):
                written[row] = self.tokenizer.decode(tokens)
        return written

    def _written(self, prompts: NDArray[np.int64], sampling: Sampling) -> NDArray[np.int64]:
        """(B, T) -> (B, new tokens)."""
        device = next(self.parameters()).device
        return generate(self.network, torch.from_numpy(prompts).to(device), sampling).cpu().numpy()
