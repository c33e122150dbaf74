"""How many trials a cluster can run at once, told before a search starts that could never begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fusegpt.config import SettingError
from fusegpt.experiment import Resources


class NoPlaceError(SettingError):
    """Not even one trial fits the cluster as it is. Of a job that was admitted it says that nodes have been lost."""


def trials_at_once(resources: Resources, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many trials fit on these nodes ({"CPU": ..., "GPU": ...} each), at most `concurrent_trials`.

    Raises NoPlaceError where not even one fits.
    """
    nodes = list(nodes)
    workers = workers_that_fit(resources, nodes)
    trials = workers // resources.workers_per_trial or int(workers >= resources.fewest_workers)
    if trials < 1:
        raise NoPlaceError(_never_fits(resources, nodes))
    return min(trials, resources.concurrent_trials or trials)


def lacking(resources: Resources, nodes: Iterable[Mapping[str, float]]) -> str:
    """What a trial that does not fit needs, beside what these nodes have, in one sentence."""
    nodes = list(nodes)
    each = {"GPU": resources.gpus_per_worker, "CPU": resources.cpus_per_worker}
    needs = " and ".join(f"{amount:g} {kind}" for kind, amount in each.items() if amount)
    if not nodes:
        return f"needs {needs} a worker; no host is up"
    for kind, amount in each.items():
        if amount > (most := max(node.get(kind, 0.0) for node in nodes)) + 1e-6:
            return f"needs {amount:g} {kind} a worker; the largest host that is up has {most:g}"
    if fit := workers_that_fit(resources, nodes):
        return f"needs {needs} for each of {resources.fewest_workers} workers; the hosts that are up take {fit}"
    return f"needs {needs} a worker; no host that is up has both"


def workers_that_fit(resources: Resources, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many workers fit on nodes that have so much left."""
    return sum(_workers_on(node, resources) for node in nodes)


def _workers_on(node: Mapping[str, float], resources: Resources) -> int:
    """How many workers fit on a node: one worker is never spread over two."""
    each = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    return min(int(node.get(kind, 0.0) / amount + 1e-6) for kind, amount in each.items() if amount)


def _never_fits(resources: Resources, nodes: list[Mapping[str, float]]) -> str:
    takes = f"{resources.workers_per_trial} x {resources.cpus_per_worker:g} CPU"
    if resources.gpus_per_worker:
        takes += f" and {resources.gpus_per_worker:g} GPU"
    has = ", ".join(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes) or "no node"
    return (
        f"resources: a trial takes {takes}, and the cluster's nodes have {has}. Lower resources.workers_per_trial, "
        "resources.cpus_per_worker or resources.gpus_per_worker, or add a node."
    )


def nodes_of_cluster() -> list[dict[str, float]]:
    """What each living node of the cluster has, whoever uses it at the moment."""
    import ray

    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
