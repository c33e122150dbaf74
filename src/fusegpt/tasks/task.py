"""`Task`: what is learnt and how it is judged, the seam between the training loop and any model and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.signature import Signature
from fusegpt.tasks.metric import Metric

Batch = dict[str, torch.Tensor]


class Split(Protocol):
    """One part of a data set, read by index."""

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The samples at `indices`, stacked.

        With `rng`, augmented: what is done to a sample follows from the state of `rng` and from the sample, not from
        the others, so that the shares of several workers are together the batch of one.
        """
        ...


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set; `fingerprint` names their content."""

    train: Split
    val: Split
    test: Split
    fingerprint: str


@runtime_checkable
class Derives(Protocol):
    """A task with figures that are no means over samples, such as a perplexity."""

    def derived(self, means: Mapping[str, float]) -> dict[str, float]:
        """Those figures, from the means of the others."""
        ...


@runtime_checkable
class Teaches(Protocol):
    """A task whose answers are as long as its model makes them: what one costs cannot be counted, its teaching can."""

    def teach(self, model: nn.Module) -> Batch:
        """The losses of one training sample of the largest size, all zeros, where the model's weights are."""
        ...


class Task(Protocol):
    """What is learnt and how it is judged. Made by `experiment.task.build(experiment)`."""

    headline: Metric
    signature: Signature

    def build_model(self, fetch: bool = True) -> nn.Module:
        """A new model, drawn from torch's present random state.

        `fetch=False` fetches no published weights: for a model whose weights are loaded right after.
        """
        ...

    def open_splits(self, cache: Path) -> Splits:
        """The data, packed under `cache` on first use. Raises DataError naming the file or the setting."""
        ...

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """Per-sample losses, each (B,). "loss" is what training minimises; the others are its parts."""
        ...

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """Per-sample figures, each (B,), under names without the split ("ade_m"); their mean is the figure."""
        ...

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Requests of any sizes -> one batch. Raises InputError naming the field."""
        ...

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """A batch -> outputs, each (B, ...), in the model's own terms."""
        ...

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """Outputs -> one answer per request, named as in `signature.outputs`."""
        ...

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """Pictures that people look at (prediction against truth), written under `folder`."""
        ...
