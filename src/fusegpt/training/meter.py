"""`Meter`: the sums of an epoch's losses over all workers, and the watch over losses that are no numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fusegpt.tasks.task import Batch
from fusegpt.training.report import TrainingError
from fusegpt.training.workers import Workers


class Meter:
    """Adds up per-sample losses step by step.

    A step's sums stay on the device until `settle`, so that no step waits for the GPU. They are added in the order of
    the steps whenever that is, so that a resumed training has the same sums to the last bit.
    """

    def __init__(self, sums: Mapping[str, float], workers: Workers) -> None:
        self.sums = dict(sums)
        self.workers = workers
        self.waiting: list[tuple[int, list[str], torch.Tensor]] = []

    def add(self, step: int, losses: Batch, own: int) -> None:
        """Count the first `own` samples of a step, 1-based."""
        names = sorted(losses)
        sums = torch.stack([losses[name].detach()[:own].float().sum() for name in names])
        self.waiting.append((step, names, sums))

    def settle(self) -> None:
        """Bring the sums up to date, on every worker. Raises TrainingError naming the first step that went wrong."""
        if not self.waiting:
            return
        steps, names = [step for step, _, _ in self.waiting], self.waiting[0][1]
        local = torch.stack([sums for _, _, sums in self.waiting]).double().cpu().numpy()  # (steps, names)
        self.waiting = []
        for step, row in zip(steps, self.workers.sum(local), strict=True):
            if not np.isfinite(row).all():
                raise _not_finite(
                    step, [name for name, value in zip(names, row, strict=True) if not np.isfinite(value)]
                )
            for name, value in zip(names, row.tolist(), strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self, count: int) -> dict[str, float]:
        """The settled sums over `count` samples, as "train/<name>"."""
        return {f"train/{name}": value / count for name, value in self.sums.items()}


def _not_finite(step: int, names: list[str]) -> TrainingError:
    return TrainingError(
        f"step {step}: {', '.join(names)} is not a finite number. Try a lower training.lr, a longer "
        "training.warmup_fraction, training.grad_clip above 0, or training.precision = fp32; if it is the first step, "
        "look for NaN in the data."
    )
