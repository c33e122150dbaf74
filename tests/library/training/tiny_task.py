"""A task that trains in milliseconds, in the place of the waypoints: the loop must not know the difference."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.data import WorldData
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.signature import Signature, Tensor
from fusegpt.tasks import WaypointsConfig
from fusegpt.tasks.metric import Metric
from fusegpt.tasks.task import Batch, Splits
from fusegpt.training.config import TrainingConfig
from fusegpt.training.loop import Report, train
from fusegpt.training.workers import Workers

FEATURES = 6


class TinySplit:
    """Rows of a linear problem with a little noise."""

    def __init__(self, n: int, seed: int, augment: bool) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(n, FEATURES)).astype(np.float32)
        self.y = (self.x @ np.arange(1, FEATURES + 1, dtype=np.float32))[:, None] / FEATURES
        self.augment = augment
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        self.asked.extend(indices.tolist())
        x = self.x[indices]
        if rng is not None and self.augment:
            # Of the sample and the state of `rng` alone, as the protocol of a split asks for.
            x = x + np.float32(0.05) * np.sin(np.outer(indices + 1, rng.normal(size=FEATURES))).astype(np.float32)
        return {"x": torch.from_numpy(x), "y": torch.from_numpy(self.y[indices])}


class TinyTask:
    headline = Metric("val/error", "min")
    signature = Signature(
        inputs=(Tensor(name="x", dtype="float32", shape=(FEATURES,)),),
        outputs=(Tensor(name="y", dtype="float32", shape=(1,)),),
    )

    def __init__(
        self, n: int = 50, n_val: int = 17, dropout: float = 0.1, augment: bool = True, nan: bool = False
    ) -> None:
        self.dropout = dropout
        self.splits = Splits(TinySplit(n, 1, augment), TinySplit(n_val, 2, False), TinySplit(11, 3, False), "tiny-data")
        if nan:
            self.splits.train.y[:] = np.nan  # type: ignore[attr-defined]

    def build_model(self, fetch: bool = True) -> nn.Module:
        del fetch
        return nn.Sequential(
            nn.Linear(FEATURES, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(self.dropout), nn.Linear(16, 1)
        )

    def open_splits(self, cache: Path) -> Splits:
        del cache
        return self.splits

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        error = (model(batch["x"]) - batch["y"]).square().mean(1)
        return {"loss": error, "squared": error}

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        return {"error": (model(batch["x"]) - batch["y"]).abs().mean(1)}

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        return {"x": torch.from_numpy(np.stack([np.asarray(one["x"], np.float32) for one in inputs]))}

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        return {"y": model(batch["x"])}

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        return [{"y": row.numpy()} for row in outputs["y"]]


def tiny_experiment(**training: Any) -> Experiment:
    """An experiment whose training settings matter and whose task is replaced by `TinyTask`."""
    settings = {"epochs": 3, "batch_size": 8, "lr": 1e-2, "precision": "fp32", **training}
    return Experiment(
        name="tiny",
        task=WaypointsConfig(),
        model=FusionConfig(),
        data=WorldData(),
        training=TrainingConfig(**settings),
    )


def use(task: TinyTask) -> None:
    """Let every experiment of this process build `task`."""
    WaypointsConfig.build = lambda *_: task  # type: ignore[method-assign]


def train_and_die(folder: Path, at_step: int, training: dict[str, Any]) -> None:
    """Train in this process and kill it, with no chance to clean up, before step `at_step`."""
    torch.set_num_threads(1)
    use(TinyTask())
    asked = 0

    def die() -> bool:
        nonlocal asked
        asked += 1
        if asked == at_step:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    train(tiny_experiment(**training), folder, folder, should_stop=die)


def train_as_worker(rank: int, size: int, folder: Path, training: dict[str, Any], task: dict[str, Any]) -> None:
    """One of several processes that train together over gloo; each leaves its reports beside the folder."""
    import json

    torch.set_num_threads(1)
    rendezvous = f"file://{folder.parent / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=size)
    use(TinyTask(**task))
    reports: list[Report] = []
    train(tiny_experiment(**training), folder, folder, report=reports.append, workers=Workers.current())
    told = json.dumps([[report.epoch, report.metrics] for report in reports])
    (folder.parent / f"reports-{rank}.json").write_text(told, encoding="utf-8")
    torch.distributed.destroy_process_group()
