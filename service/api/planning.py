"""What a spec would run and what it would take: trials, the sizes of its models, the time from earlier jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median
from typing import Any

from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer
from service.api.wire import Plan
from service.jobs.queue import Capacity
from service.jobs.store import JobStore

BYTES_PER_PARAMETER = 16  # fp32: the weight, its gradient, AdamW's two moments
LOOKED_AT = 20  # earlier jobs of the same experiment


def plan_of(experiment: Experiment, holds: Capacity, store: JobStore) -> Plan:
    """The plan of an experiment that was admitted, and holds so much."""
    headline = experiment.task.build(experiment).headline
    default = parameters(experiment)
    smallest, largest = extremes(experiment, default)
    search, resources = experiment.search, experiment.resources
    at_once = max(round(holds.cpus / (resources.cpus_per_worker * resources.workers_per_trial)), 1)
    epochs = epochs_in_all(experiment)
    seconds = _seconds_per_epoch(store, experiment.name)
    return Plan(
        experiment=experiment.name,
        trials=search.trials,
        epochs=experiment.training.epochs,
        algorithm=search.algorithm,
        metric=search.metric or headline.name,
        mode=headline.mode,
        parameters=default,
        smallest=smallest,
        largest=largest,
        state_gb=largest * BYTES_PER_PARAMETER / 1e9,
        at_once=at_once,
        epochs_in_all=epochs,
        hours=None if seconds is None else round(epochs * seconds / at_once / 3600, 3),
        budget_hours=search.budget.hours,
        cpus=holds.cpus,
        gpus=holds.gpus,
        settings=experiment.settings(),
    )


def parameters(experiment: Experiment) -> int:
    """Parameters of the model, counted without memory for them and without fetching any."""
    import torch

    pretrained = experiment.settings().get("model.pretrained")
    if pretrained:  # False, or the empty name, by the kind of the model
        experiment = experiment.override({"model.pretrained": type(pretrained)()})
    with torch.device("meta"):
        model = experiment.task.build(experiment).build_model()
    return sum(parameter.numel() for parameter in model.parameters())


def extremes(experiment: Experiment, default: int) -> tuple[int, int]:
    """Parameters of the smallest and of the largest model in the space.

    Each setting is tried alone at its ends, then all together where each was smallest and where each was largest: the
    number of parameters grows with every setting on its own.
    """
    smallest: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    for key, domain in experiment.search.space.items():
        sizes = {value: parameters(experiment.trial({key: value})) for value in _ends(key, domain)}
        if len(set(sizes.values())) > 1:
            smallest[key], largest[key] = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if not smallest:
        return default, default
    ends = [parameters(experiment.trial(drawn)) for drawn in (smallest, largest)]
    return min(default, *ends), max(default, *ends)


def _ends(key: str, domain: Domain) -> Iterator[Any]:
    """The values of a setting between which a model's size lies; none where its size cannot depend on it."""
    if not key.startswith("model."):
        return
    if isinstance(domain, Integer):
        yield from {domain.low, domain.high}
    elif isinstance(domain, Choice):
        yield from domain.values


def epochs_in_all(experiment: Experiment) -> int:
    """Epochs of all trials; with ASHA, as many as reach each rung when one in `reduction_factor` goes on."""
    search, epochs = experiment.search, experiment.training.epochs
    if search.algorithm != "asha":
        return search.trials * epochs
    total, done, going, rung = 0, 0, search.trials, search.grace_epochs
    while done < epochs:
        until = min(rung, epochs)
        total += going * (until - done)
        done, rung, going = until, rung * search.reduction_factor, math.ceil(going / search.reduction_factor)
    return total


def _seconds_per_epoch(store: JobStore, experiment: str) -> float | None:
    """The median over the trials of earlier jobs; None where there are none."""
    jobs = store.jobs(experiment=experiment, limit=LOOKED_AT)
    told = [event.data for job in jobs for event in store.trials(job.id)]
    return median(found) if (found := [each["seconds"] / each["epoch"] for each in told if each["epoch"]]) else None
