"""`TranslationTask`: losses, figures and answers of translation.

Shapes: B batch, S source tokens, T target tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from fusegpt.data.dates.config import DatesData
from fusegpt.data.parallel_text.config import ParallelTextData
from fusegpt.data.parallel_text.pairs import PairSplit
from fusegpt.data.parallel_text.tokens import BEGIN, END, PADDING, VOCAB_SIZE, padded, source_tokens, text_of
from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.models.encoder_decoder.decoding import Ends, beam, greedy
from fusegpt.models.encoder_decoder.model import EncoderDecoder
from fusegpt.signature import InputError, Signature, Tensor
from fusegpt.tasks.task import Batch, Split, Splits
from fusegpt.tasks.translation.bleu import sentence_bleu
from fusegpt.tasks.translation.config import TranslationConfig

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment

DRAWN = 512  # samples that a picture is made of


class TranslationTask:
    """Translation by an encoder-decoder Transformer (Vaswani et al., Attention Is All You Need, 2017)."""

    def __init__(self, experiment: Experiment) -> None:
        assert isinstance(experiment.task, TranslationConfig)
        assert isinstance(experiment.model, EncoderDecoderConfig)
        assert isinstance(experiment.data, DatesData | ParallelTextData)
        self.config, self.model_config, self.data = experiment.task, experiment.model, experiment.data
        self.headline = self.config.headline
        self.signature = signature(self.model_config.block_size)

    def build_model(self, fetch: bool = True) -> nn.Module:
        """A new model, drawn from torch's present random state; there is nothing that `fetch` could fetch."""
        del fetch
        return self.model_config.build(VOCAB_SIZE, PADDING)

    def open_splits(self, cache: Path) -> Splits:
        """The pairs of texts. Raises DataError naming the file or SettingError naming the setting."""
        return self.data.open_splits(cache)

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """The label-smoothed cross-entropy of a target's tokens in nats, its mean over the target; (B,)."""
        logits = model(batch["source"], batch["target"][:, :-1])
        return {"loss": self._nats(logits, batch["target"], self.config.label_smoothing)}

    def teach(self, model: nn.Module) -> Batch:
        """The losses of the longest source and the longest target, (1,) each."""
        source = torch.zeros((1, self.data.max_tokens), dtype=torch.int64, device=next(model.parameters()).device)
        target = source.new_zeros((1, self.config.max_target_tokens + 1))  # a beginning before the bytes and the end
        return self.losses(model, {"source": source, "target": target})

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """Whether the whole target is right when it is told freely, and the nats of a token under teacher forcing."""
        logits = model(batch["source"], batch["target"][:, :-1])
        told = texts(self._tell(model, batch["source"]))
        truth = texts(batch["target"])
        figures = {
            "nats_per_token": self._nats(logits, batch["target"], 0.0),
            "exact_match": logits.new_tensor([float(a == b) for a, b in zip(told, truth, strict=True)]),
        }
        if self.config.metric == "sentence_bleu":
            figures["sentence_bleu"] = logits.new_tensor(sentence_bleu(told, truth))
        return figures

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Texts -> {"source" (B, S)}. Raises InputError naming the field."""
        return {"source": padded([self._source(request) for request in inputs])}

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """{"tokens" (B, T)}: the targets, told token by token."""
        return {"tokens": self._tell(model, batch["source"])}

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """The translations as texts."""
        return [{"translation": np.asarray(text)} for text in texts(outputs["tokens"])]

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """The share of texts that are translated exactly, for each group of sources (the languages of dates)."""
        from fusegpt.figures.by_group import by_group

        groups = [pair.group for pair in split.pairs] if isinstance(split, PairSplit) else ["all"] * len(split)
        indices = np.arange(min(DRAWN, len(split)))
        right = self._exact(model, split.batch(indices))
        shares = {group: right[[groups[i] == group for i in indices]] for group in sorted({groups[i] for i in indices})}
        figures = {group: float(values.mean()) for group, values in shares.items()}
        return [by_group(figures, "Translated exactly", "share of texts", folder / "exact_match.png")]

    def _exact(self, model: nn.Module, batch: Batch) -> NDArray[np.float64]:
        device = next(model.parameters()).device
        told = texts(self._tell(model, batch["source"].to(device)))
        return np.array([float(a == b) for a, b in zip(told, texts(batch["target"]), strict=True)])

    def _tell(self, model: nn.Module, source: torch.Tensor) -> torch.Tensor:
        assert isinstance(model, EncoderDecoder)
        ends = Ends(BEGIN, END, self.config.max_target_tokens)
        if self.config.beam_width == 1:
            return greedy(model, source, ends)
        return beam(model, source, ends, self.config.beam_width, self.config.length_penalty)

    def _nats(self, logits: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        """(B, T, V) and (B, T + 1) -> (B,): the mean over each row's tokens that are no padding."""
        truth = target[:, 1:]
        each = F.cross_entropy(
            logits.float().transpose(1, 2), truth, ignore_index=PADDING, reduction="none", label_smoothing=smoothing
        )
        return each.sum(1) / (truth != PADDING).sum(1)

    def _source(self, request: Mapping[str, NDArray[np.generic]]) -> NDArray[np.int64]:
        tokens = source_tokens(text_field(request, "text"))
        if len(tokens) > self.model_config.block_size:
            raise InputError("text", f"has {len(tokens) - 1} bytes, at most {self.model_config.block_size - 1} fit")
        return tokens


def texts(tokens: torch.Tensor) -> list[str]:
    """(B, T) -> B texts."""
    return [text_of(row) for row in tokens.tolist()]


def text_field(request: Mapping[str, NDArray[np.generic]], name: str) -> str:
    """One text of a request. Raises InputError naming the field."""
    if name not in request:
        raise InputError(name, "is missing")
    value = np.asarray(request[name])
    content = value.item() if value.size == 1 else None
    if isinstance(content, bytes):
        content = content.decode("utf-8", "replace")
    if not isinstance(content, str):
        raise InputError(name, f"must be one text, not {value.dtype} of the shape {value.shape}")
    return content


def signature(block_size: int) -> Signature:
    """What a request carries and what the answer does."""
    return Signature(
        inputs=(
            Tensor(
                name="text", dtype="text", shape=(), media="text", max_rows=max(1, block_size - 1),
                description="The text to translate, in UTF-8.",
            ),
        ),
        outputs=(Tensor(name="translation", dtype="text", shape=(), media="text", description="Its translation."),),
    )  # fmt: skip
