"""What a training tells: `Report` after each epoch, `Result` at the end, `TrainingError` where it cannot go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """One finished epoch.

    epoch:      1-based, of `epochs`.
    step:       optimiser steps taken so far, of `steps`.
    metrics:    train/loss and its parts, val/..., lr, samples_per_s; the same on every worker.
    checkpoint: the folder of the latest state, complete when the report is made.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: dict[str, float]
    checkpoint: Path


@dataclass(frozen=True)
class Result:
    """How a training ended.

    metrics: those of the best epoch by the headline metric; empty where it stopped before the first epoch's end.
    best:    the folder of the best model; it exists once an epoch has ended.
    stopped: whether `should_stop` ended it; the same call goes on from there.
    """

    metrics: dict[str, float]
    best_epoch: int
    epoch: int
    step: int
    best: Path
    stopped: bool


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says where and what to try."""
