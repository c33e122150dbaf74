"""`Workers`: the processes that train one model together, and what they must agree on.

A lone process is one worker of one; nothing in the loop asks which it is. Numbers travel over gloo on the CPU, also
where gradients travel over NCCL, so that agreeing never waits for the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process's place among those that train together. `rank` 0 writes the files."""

    rank: int
    size: int
    device: torch.device
    group: Any = None  # of torch.distributed; None is everyone

    @classmethod
    def alone(cls, device: str = "") -> Workers:
        """One process. An empty device takes the GPU where there is one."""
        return cls(0, 1, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))

    @classmethod
    def current(cls) -> Workers:
        """This process's place in torch.distributed where that is initialised (call it on every rank), else alone."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls.alone()
        on_gpu = dist.get_backend() == "nccl"
        device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
        group = dist.new_group(backend="gloo") if on_gpu else None
        return cls(dist.get_rank(), dist.get_world_size(), device, group)

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files."""
        return self.rank == 0

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """This worker's part; the parts of all workers are the whole, each index once."""
        return indices[self.rank :: self.size]

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The element-wise sum over all workers, on every worker."""
        if self.size == 1:
            return values
        total = torch.from_numpy(np.array(values, dtype=np.float64))
        dist.all_reduce(total, group=self.group)
        return np.asarray(total.numpy())

    def sum_by_name(self, values: Mapping[str, float], names: list[str]) -> dict[str, float]:
        """`sum` of a mapping. `names` must be the same on every worker; a worker without a name adds nothing to it."""
        total = self.sum(np.array([values.get(name, 0.0) for name in names]))
        return dict(zip(names, total.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker: the same answer everywhere, so that all stop at the same step."""
        return bool(self.sum(np.array([float(flag)]))[0])

    def barrier(self) -> None:
        """Wait until every worker is here."""
        self.any(False)

    def first_once(self, make: Callable[[], T]) -> T:
        """`make()` on rank 0 and then on the others, which find what it left on disk."""
        made = make() if self.writes else None
        self.barrier()
        return made if made is not None else make()

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model on this worker's device, with batch statistics over all workers on GPU."""
        if self.size > 1 and self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return model.to(self.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The prepared model with its gradients averaged over the workers."""
        if self.size == 1:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        in_parts = getattr(model, "learns_in_parts", False)  # not every step reaches every parameter
        return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=in_parts)
