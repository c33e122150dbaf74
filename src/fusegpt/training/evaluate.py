"""Judging a model on a part of the data: in fp32 and evaluation mode, so that the figures are those of what serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.predictor import Predictor
from fusegpt.tasks.task import Derives, Split, Task
from fusegpt.training.batches import to_device
from fusegpt.training.workers import Workers

Figures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one part of the data.

    metrics:    the means, under names without the split ("ade_m").
    per_sample: the same figures sample by sample, each (N,), in the order of the split: for intervals of confidence.
    """

    metrics: dict[str, float]
    per_sample: Figures


def evaluate(
    folder: Path,
    cache: Path,
    split: Literal["train", "val", "test"] = "test",
    device: str = "cpu",
    batch_size: int = 64,
) -> Evaluation:
    """The model kept in `folder` (a trial's best/, or a registered one) on a part of its own experiment's data.

    Raises CheckpointError for the folder and DataError for the data, each naming the file.
    """
    predictor = Predictor.load(folder, device)
    part: Split = getattr(predictor.task.open_splits(cache), split)
    if not len(part):
        raise ValueError(
            f"data.splits: leaves no sample for {split!r}; raise data.splits.{split}_fraction or name drives"
        )
    figures = judge(predictor.task, predictor.model, part, np.arange(len(part)), torch.device(device), batch_size)
    return Evaluation(_with_derived(predictor.task, {name: float(v.mean()) for name, v in figures.items()}), figures)


def judge(
    task: Task, model: nn.Module, split: Split, indices: NDArray[np.int64], device: torch.device, batch_size: int
) -> Figures:
    """Every figure of every sample at `indices`, in that order."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    with evaluating(model):
        for start in range(0, len(indices), batch_size):
            batch = to_device(split.batch(indices[start : start + batch_size]), device)
            for name, values in task.metrics(model, batch).items():
                found.setdefault(name, []).append(values.double().cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def judge_together(task: Task, model: nn.Module, split: Split, workers: Workers, batch_size: int) -> dict[str, float]:
    """The mean of every figure over the whole split, each worker judging its share; the same on every worker."""
    share = workers.share(np.arange(len(split)))
    # A worker without a sample judges one that does not count, to know the names of the figures.
    own = judge(task, model, split, share if len(share) else np.arange(1), workers.device, batch_size)
    names = sorted(own)
    sums = workers.sum(np.array([own[name].sum() if len(share) else 0.0 for name in names]))
    return _with_derived(task, dict(zip(names, (sums / len(split)).tolist(), strict=True)))


def _with_derived(task: Task, means: dict[str, float]) -> dict[str, float]:
    return {**means, **task.derived(means)} if isinstance(task, Derives) else means


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode before it again afterwards."""
    before = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(before)
