"""How many workers a trial starts with, where the cluster may have lost some of its nodes.

A training goes on from its checkpoint with any number of workers: an epoch's batches are the same, only dealt out to
fewer. So a trial that may shrink (`resources.min_workers`) waits a little for the place that it had, and goes on with
what there is; it is back to its full number the next time that it starts. Ray Train's own elastic groups took longer to
shrink than the lost node took to come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from fusegpt.experiment import Resources
from service.cluster.capacity import workers_that_fit

GRACE_SECONDS = 20.0
LOOK_SECONDS = 0.5

Nodes = Iterable[Mapping[str, float]]


def workers_now(resources: Resources, free: Callable[[], Nodes] | None = None) -> int:
    """All of `workers_per_trial`, or after a while as many as there is place for, but `min_workers` at least.

    `free` tells what each node has left; by default the cluster's that this process is connected to.
    """
    full, fewest, look = resources.workers_per_trial, resources.fewest_workers, free or _free
    deadline = time.monotonic() + GRACE_SECONDS
    while fewest < full:
        fit = min(workers_that_fit(resources, look()), full)
        if fit == full or time.monotonic() >= deadline:
            return max(fit, fewest)
        time.sleep(LOOK_SECONDS)
    return full


def _free() -> Nodes:
    from ray._private.state import available_resources_per_node  # public is only the sum over all nodes

    return list(available_resources_per_node().values())
