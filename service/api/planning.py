"""What a spec would run and what it would take: trials, the sizes of its models, their memory and their time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from fusegpt.costs import flops_are_taught, forward_flops, parameters
from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer
from service.api.fitting import Room, full, refusals, room_for
from service.api.services import Services
from service.api.wire import Plan
from service.cluster import probe
from service.cluster.probe import Measured
from service.cluster.wanted import Gone, waiting
from service.jobs.queue import Capacity
from service.jobs.store import JobStore

BYTES_PER_PARAMETER = 16  # fp32: the weight, its gradient, AdamW's two moments
LOOKED_AT = 20  # earlier jobs of the same experiment


@dataclass(frozen=True)
class Sizes:
    """The experiment as it stands, and with the smallest and the largest model of its space."""

    default: Experiment
    smallest: Experiment
    largest: Experiment
    parameters: Mapping[str, int]

    def state_gb(self, which: str) -> float:
        """Memory of a model's weights, gradients and optimiser state."""
        return self.parameters[which] * BYTES_PER_PARAMETER / 1e9


def plan_of(
    experiment: Experiment, holds: Capacity, use: Services, *, probed: bool = False, gone: Gone = waiting
) -> Plan:
    """The plan of an experiment that was admitted, and holds so much.

    `probed`: with a few real steps, measured, while whoever asked is not `gone`.
    """
    headline = experiment.task.headline
    sizes = sizes_of(experiment)
    search, resources = experiment.search, experiment.resources
    epochs, at_once = epochs_in_all(experiment), _at_once(experiment, holds)
    room = room_for(resources, at_once, use)
    measured, why_not = _measured(sizes, room, use, gone) if probed else ({}, "not asked for")
    hours, hours_from = _hours(use.store, experiment, epochs, at_once, measured)
    plan = Plan(
        experiment=experiment.name,
        trials=search.trials,
        epochs=experiment.training.epochs,
        algorithm=search.algorithm,
        metric=search.metric or headline.name,
        mode=headline.mode,
        parameters=sizes.parameters["default"],
        smallest=sizes.parameters["smallest"],
        largest=sizes.parameters["largest"],
        flops=forward_flops(sizes.default),
        flops_of="a training sample" if flops_are_taught(experiment) else "an answer",
        smallest_flops=forward_flops(sizes.smallest),
        largest_flops=forward_flops(sizes.largest),
        state_gb=sizes.state_gb("largest"),
        measured=measured,
        not_measured=why_not,
        at_once=at_once,
        workers=resources.workers_per_trial,
        epochs_in_all=epochs,
        hours=hours,
        hours_from=hours_from,
        budget_hours=search.budget.hours,
        budget_gpu_hours=search.budget.gpu_hours,
        cpus=holds.cpus,
        gpus=holds.gpus,
        refusals=[],
        settings=experiment.settings(),
    )
    return plan.model_copy(update={"refusals": refusals(plan, room)})


def _at_once(experiment: Experiment, holds: Capacity) -> int:
    resources = experiment.resources
    return max(round(holds.cpus / (resources.cpus_per_worker * resources.workers_per_trial)), 1)


def _measured(sizes: Sizes, room: Room | None, use: Services, gone: Gone = waiting) -> tuple[dict[str, Measured], str]:
    """What the default and the largest model take; or why that is not known. What cannot fit is not tried."""
    models = {"default": sizes.default, "largest": sizes.largest}
    fit = {which: model for which, model in models.items() if room is None or sizes.state_gb(which) < room.gb}
    if not fit:
        return {}, "the weights, gradients and AdamW state alone take more memory than there is"
    if (why_not := full(sizes.default.resources, use)) and not probe.known(list(fit.values()), use.settings):
        return {}, why_not
    try:
        return dict(zip(fit, probe.probe(list(fit.values()), use.settings, gone), strict=True)), ""
    except probe.NotMeasured as why:
        return {}, str(why)


def _hours(
    store: JobStore, experiment: Experiment, epochs: int, at_once: int, measured: Mapping[str, Measured]
) -> tuple[float | None, str]:
    """What all epochs take, and what that is reckoned from: what was measured now, or else the earlier jobs."""
    seconds = measured["default"].epoch_s if measured else _seconds_per_epoch(store, experiment.name)
    if seconds is None:
        return None, ""
    return round(epochs * seconds / at_once / 3600, 3), "the probe" if measured else "earlier jobs"


def sizes_of(experiment: Experiment) -> Sizes:
    """The models of the space by their parameters.

    Each setting is tried alone at its ends, then all together where each was smallest and where each was largest: the
    number of parameters grows with every setting on its own. What search.constraints.parameters forbids is no model.
    """
    smallest: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    for key, domain in experiment.search.space.items():
        counted = {value: parameters(experiment.trial({key: value})) for value in _ends(key, domain)}
        if len(set(counted.values())) > 1:
            smallest[key], largest[key] = min(counted, key=counted.__getitem__), max(counted, key=counted.__getitem__)
    ends = [experiment.trial(drawn) if drawn else experiment for drawn in (smallest, largest)]
    most = experiment.search.constraints.parameters.max or math.inf
    known = [(parameters(each), each) for each in (experiment, *ends)]
    allowed = [(count, each) for count, each in known if count <= most] or known[:1]
    low, high = (pick(allowed, key=lambda pair: pair[0]) for pick in (min, max))
    counts = {"default": known[0][0], "smallest": low[0], "largest": high[0]}
    return Sizes(experiment, low[1], high[1], counts)


def _ends(key: str, domain: Domain) -> Iterator[Any]:
    """The values of a setting between which a model's size lies; none where its size cannot depend on it."""
    if not key.startswith("model."):
        return
    if isinstance(domain, Integer):
        yield from {domain.low, domain.high}
    elif isinstance(domain, Choice):
        yield from domain.values


def epochs_in_all(experiment: Experiment) -> int:
    """Epochs of all trials; where some are stopped early, one in `reduction_factor` goes on at each rung."""
    search, epochs = experiment.search, experiment.training.epochs
    if not search.stops_early:
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
