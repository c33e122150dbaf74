"""`LanguageTask`: losses, figures and answers of telling the next token.

Shapes: B batch, T tokens, L bytes of the longest text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.config import SettingError
from fusegpt.data.text.config import TextData
from fusegpt.data.text.tokenizer import ByteTokenizer, Tokenizer, of_checkpoint
from fusegpt.data.text.windows import Text, open_text
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.sequence.config import SequenceConfig
from fusegpt.signature import InputError, Signature, Tensor
from fusegpt.tasks.language.config import LanguageConfig
from fusegpt.tasks.language.model import LanguageModel
from fusegpt.tasks.task import Batch, Split, Splits

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment

MAX_BYTES = 100_000

SIGNATURE = Signature(
    inputs=(
        Tensor(name="text", dtype="text", shape=(), media="text", max_rows=MAX_BYTES,
               description="What to go on with."),
    ),
    outputs=(Tensor(name="text", dtype="text", shape=(), media="text", description="What the model writes after it."),),
)  # fmt: skip


class LanguageTask:
    """Tell the next token; judged in bits per byte, which are comparable whatever the tokens are."""

    signature = SIGNATURE

    def __init__(self, experiment: Experiment) -> None:
        assert isinstance(experiment.task, LanguageConfig)
        assert isinstance(experiment.model, GPTConfig | SequenceConfig)
        assert isinstance(experiment.data, TextData)
        self.headline = experiment.task.headline
        self.sampling = experiment.task.sampling
        self.model_config = experiment.model
        self.data = experiment.data
        self._text: Text | None = None

    def build_model(self, fetch: bool = True) -> LanguageModel:
        """A new model. After `open_splits` it knows the tokenizer, and has been shown the training text."""
        network = self.model_config.build(self.data.tokens, fetch)
        if self._text is None:
            return LanguageModel(network, ByteTokenizer() if self.data.tokenizer == "byte" else None)
        self._refuse_other_tokens(self._text.tokenizer)
        network.look_at(torch.from_numpy(self._text.train.astype(np.int64)))
        return LanguageModel(network, self._text.tokenizer)

    def _refuse_other_tokens(self, tokenizer: Tokenizer) -> None:
        """Weights of our own are for the tokens that they were trained on."""
        folder = Path(getattr(self.model_config, "pretrained", ""))
        if not (folder / "experiment.json").is_file():
            return
        file = folder / "model.safetensors"
        if of_checkpoint(file) != tokenizer.to_text():
            raise SettingError(f"data.tokenizer: these are not the tokens of model.pretrained; take those of {file}")

    def open_splits(self, cache: Path) -> Splits:
        """The text as tokens, kept under `cache`."""
        self._text = open_text(self.data, cache)
        return self._text.splits

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """Nats per token, (B,)."""
        return {"loss": model(batch["tokens"], batch["targets"]).mean(1)}

    def teach(self, model: nn.Module) -> Batch:
        """The losses of one window of the text, (1,) each."""
        tokens = torch.zeros((1, self.data.block_size), dtype=torch.int64, device=next(model.parameters()).device)
        return self.losses(model, {"tokens": tokens, "targets": tokens})

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """Nats per token and bits per byte, each (B,)."""
        nats = model(batch["tokens"], batch["targets"])  # (B, T)
        return {"loss": nats.mean(1), "bits_per_byte": nats.sum(1) / math.log(2) / batch["mean_bytes"]}

    def derived(self, means: Mapping[str, float]) -> dict[str, float]:
        """The perplexity: e to the mean, which is no mean of samples."""
        return {"perplexity": math.exp(min(means["loss"], 700.0))}

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Texts as their bytes, {"text" (B, L) uint8, "length" (B,)}: the model has the tokenizer."""
        return packed([text_of(request) for request in inputs])

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """What the model writes after each text, as bytes."""
        assert isinstance(model, LanguageModel)
        return packed(model.go_on(unpacked(batch), self.sampling))

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """Bytes -> text."""
        return [{"text": np.asarray(text)} for text in unpacked(outputs)]

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """How surprising each character of a held-out text is to the model, and what it writes itself."""
        from fusegpt.tasks.language.pictures import draw_surprise

        assert isinstance(model, LanguageModel)
        return [draw_surprise(model, split, self.sampling, folder / "surprise.png")]


def text_of(request: Mapping[str, NDArray[np.generic]]) -> str:
    """The text of a request. Raises InputError."""
    if "text" not in request:
        raise InputError("text", "is missing")
    value = np.asarray(request["text"])
    if value.dtype.kind != "U" or value.size != 1:
        raise InputError("text", f"must be one text, not {value.dtype} of shape {value.shape}")
    text = str(value.item())
    if len(text.encode()) > MAX_BYTES:
        raise InputError("text", f"has {len(text.encode())} bytes; at most {MAX_BYTES} are taken")
    return text


def packed(texts: Sequence[str]) -> Batch:
    """Texts of any lengths as one batch: {"text" (B, L) uint8, padded with 0, "length" (B,) int64 in bytes}."""
    raw = [text.encode() for text in texts]
    rows = np.zeros((len(raw), max(map(len, raw), default=0)), np.uint8)
    for row, content in zip(rows, raw, strict=True):
        row[: len(content)] = np.frombuffer(content, np.uint8)
    return {"text": torch.from_numpy(rows), "length": torch.tensor([len(content) for content in raw])}


def unpacked(batch: Batch) -> list[str]:
    """The texts of `packed`."""
    rows = batch["text"].cpu().numpy()
    return [bytes(row[:length]).decode() for row, length in zip(rows, batch["length"].tolist(), strict=True)]
