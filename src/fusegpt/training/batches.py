"""`Batches`: which samples each step takes, and each worker's share of them.

The order is a function of (seed, epoch), so that a training can be taken up at any step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.tasks.task import Batch, Split
from fusegpt.training import seed
from fusegpt.training.workers import Workers

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """One worker's part of one step's batch.

    own:   how many of the samples are this worker's. 0 where a batch has fewer samples than there are workers: the
           batch then holds a stand-in, because every worker must take part in averaging the gradients.
    scale: what the sum of the losses is multiplied by, so that the average of the workers' gradients is the gradient
           of the mean over the whole batch.
    """

    batch: Batch
    own: int
    scale: float


class Batches:
    """The training split in batches, dealt out to the workers.

    An epoch is cut into batches that differ by one sample at most, none above `batch_size`: a last batch of one or
    two samples would weigh as much as a full one, and spoil batch statistics.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, workers: Workers) -> None:
        self.split = split
        self.steps = math.ceil(len(split) / batch_size)
        self.seed = seed
        self.workers = workers

    def indices(self, epoch: int) -> list[NDArray[np.int64]]:
        """The samples of each step of an epoch, each sample once."""
        order = seed.stream(seed.ORDER, self.seed, epoch).permutation(len(self.split))
        return np.array_split(order, self.steps)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Share]:
        """The shares of an epoch from step `start` on, the next one read while the present one is in use."""
        batches = self.indices(epoch)

        def read(step: int) -> Share:
            return self._share(batches[step], epoch, step)

        for share in ahead(read, range(start, self.steps)):
            yield Share(to_device(share.batch, self.workers.device), share.own, share.scale)

    def _share(self, indices: NDArray[np.int64], epoch: int, step: int) -> Share:
        mine = self.workers.share(indices)
        rng = seed.stream(seed.AUGMENT, self.seed, epoch, step)
        batch = self.split.batch(mine if len(mine) else indices[:1], rng)
        if self.workers.device.type == "cuda":
            batch = {name: tensor.pin_memory() for name, tensor in batch.items()}
        return Share(batch, len(mine), self.workers.size / len(indices) if len(mine) else 0.0)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device; without waiting where it was pinned."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def ahead(make: Callable[[int], T], items: Iterable[int]) -> Iterator[T]:
    """`make(item)` for each item in order, the next one made in a thread while the present one is used."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        waiting: Future[T] | None = None
        for item in items:
            ready, waiting = waiting, pool.submit(make, item)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()
