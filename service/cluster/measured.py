"""What a trial's model costs, known before it is trained: kept in the trial's folder, and held against the limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fusegpt import costs
from fusegpt.experiment import Experiment
from fusegpt.training.folder import read_json, write_text
from service.errors import ServiceError

COSTS = "costs.json"

Measure = Callable[[Experiment], float]


class Infeasible(ServiceError):
    """A model breaks a limit of its search; the message says which, and by what."""


def costs_of(experiment: Experiment, folder: Path, measure: Measure) -> dict[str, float]:
    """The costs that the search wants to know, by name. What is in `folder` already is not measured again."""
    file = folder / COSTS
    known: dict[str, float] = read_json(file) if file.exists() else {}
    for name in experiment.search.costs:
        if name not in known:
            known[name] = measure(experiment) if name == "latency_ms" else float(costs.parameters(experiment))
    if known:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(known))
    return known


def hold_to_limits(experiment: Experiment, known: dict[str, float]) -> None:
    """Raise Infeasible where a cost is above its limit."""
    for name, most in experiment.search.constraints.limits().items():
        if known[name] > most:
            raise Infeasible(f"infeasible: {name} {known[name]:.4g} > {most:.4g}")


def latency_ms(experiment: Experiment) -> float:
    """The latency on what one worker of the trial has: measured here, or on one worker's share of the cluster.

    A trial of several workers runs in a process that has reserved nothing, so it borrows a worker's place before they
    start.
    """
    resources = experiment.resources
    if resources.workers_per_trial == 1:
        return _latency_here(experiment)
    import ray

    place = ray.remote(num_cpus=resources.cpus_per_worker, num_gpus=resources.gpus_per_worker)(_latency_here)
    return float(ray.get(place.remote(experiment)))


def _latency_here(experiment: Experiment) -> float:
    import torch

    from service.cluster.train import keep_to_the_reserved

    keep_to_the_reserved(experiment.resources)
    device = "cuda" if experiment.resources.gpus_per_worker and torch.cuda.is_available() else "cpu"
    return costs.latency_ms(experiment, device)
