"""`run_trial`: one training, in this process or over several workers. Plain training and the search both use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fusegpt.experiment import Experiment, Resources
from fusegpt.training.report import Report, Result


def run_trial(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train an experiment in `folder`, going on from what is there, with `resources.workers_per_trial` processes.

    One worker is this process, and Ray is not needed. Several are started on the cluster that this process is
    connected to, or else that RAY_ADDRESS names; they share `folder` and `cache` (on a cluster: a shared disk), and
    are gone when this returns.

    `report` is called after each epoch, in this process and this thread; where it returns, the next epoch begins.
    `should_stop` ends the training at its next step, with its state kept. Raises what `train` raises, and
    LostWorkersError where workers died again and again.
    """
    if experiment.resources.workers_per_trial > 1:
        from service.cluster.worker_group import train_together

        return train_together(experiment, folder, cache, report, should_stop)
    return train_alone(experiment, folder, cache, report, should_stop)


def train_alone(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    """Train in this process, with as many threads as it has CPUs reserved."""
    from fusegpt.training.loop import train
    from fusegpt.training.workers import Workers

    keep_to_the_reserved(experiment.resources)
    return train(experiment, folder, cache, report, Workers.alone(), should_stop)


def keep_to_the_reserved(resources: Resources) -> None:
    """Keep torch to what a worker reserves, for Ray limits no one.

    Crowded threads slow each other down; and of two trials that share a GPU, the one that takes too much memory must
    be the one that fails: a part of a GPU is that part of its memory.
    """
    import torch

    torch.set_num_threads(max(1, int(resources.cpus_per_worker)))
    share = resources.gpus_per_worker
    if 0 < share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)
