"""Which queued jobs start now, and the sentence that says why each of the others waits. Pure: no store, no process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fusegpt.experiment import Experiment
from service.cluster.capacity import trials_at_once, workers_that_fit
from service.jobs.job import Job

KINDS = {"cpus": "CPU", "gpus": "GPU"}


@dataclass(frozen=True)
class Capacity:
    """What the machine or the cluster has, whoever uses it at the moment; a worker is never spread over two `nodes`."""

    cpus: float
    gpus: float = 0.0
    nodes: tuple[Mapping[str, float], ...] = ()


@dataclass
class Turn:
    """What the queue decided: the jobs to start, in order, and id -> why it waits for the others, and of
    those for which there is no place at all: what they lack."""

    start: list[Job] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    lack: dict[str, str] = field(default_factory=dict)


def capacity_of(nodes: Iterable[Mapping[str, float]]) -> Capacity:
    """What nodes that have so much ({"CPU": ..., "GPU": ...} each) are together."""
    nodes = tuple(nodes)
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in KINDS.values())
    return Capacity(cpus, gpus, nodes)


def nodes_of(capacity: Capacity) -> Sequence[Mapping[str, float]]:
    """Its nodes; a machine is one."""
    return capacity.nodes or [{"CPU": capacity.cpus, "GPU": capacity.gpus}]


def held_by(experiment: Experiment, capacity: Capacity) -> Capacity:
    """What a job of this experiment holds while it runs: all trials that run at once.

    Raises SettingError where not even one trial fits.
    """
    resources, nodes = experiment.resources, nodes_of(capacity)
    at_once = trials_at_once(resources, nodes)
    workers = min(at_once, experiment.search.trials) * resources.workers_per_trial
    workers = min(workers, workers_that_fit(resources, nodes))  # fewer, where a trial has shrunk
    return Capacity(workers * resources.cpus_per_worker, workers * resources.gpus_per_worker)


def take_turn(queued: Iterable[Job], active: Sequence[Job], capacity: Capacity, jobs: int, time: datetime) -> Turn:
    """Higher priority first, then first come. `jobs`: how many run at once at most; 0 sets no limit.

    What a job waits for is kept for it: those behind it start only with what is left over, so that a large job is not
    overtaken for ever by small ones.
    """
    turn, running, first = Turn(), list(active), None
    free = {kind: getattr(capacity, kind) - sum(getattr(job, kind) for job in active) for kind in KINDS}
    for job in sorted(queued, key=lambda job: (-job.priority, job.number)):
        if job.not_before is not None and job.not_before > time:
            turn.waits[job.id] = f"tries again at {job.not_before:%H:%M:%S} UTC: {_cause(job)}"
            continue
        why = _why(job, free, running, first, jobs)
        if why:
            turn.waits[job.id] = why
            first = first or job
        else:
            turn.start.append(job)
            running.append(job)
        for kind in KINDS:
            free[kind] -= getattr(job, kind)
    return turn


def _why(job: Job, free: dict[str, float], running: Sequence[Job], first: Job | None, jobs: int) -> str:
    """Why a job cannot start; empty where it can."""
    if jobs and len(running) >= jobs:
        return f"waits for a place: {_of(jobs, 'job')} at once at most, running {names(running)}"
    for kind, name in KINDS.items():
        needs = getattr(job, kind)
        if needs and needs > free[kind] + 1e-9:
            holders = [other for other in running if getattr(other, kind)]
            held = f", held by {names(holders)}" if holders else ""
            ahead = f", after {first.name}" if first is not None else ""
            return f"needs {needs:g} {name}, {max(free[kind], 0):g} free{held}{ahead}"
    return ""


def _cause(job: Job) -> str:
    """What stands behind "tries again at ...: " already, or the reason as it is."""
    return job.reason.partition(" UTC: ")[2] or job.reason


def names(jobs: Sequence[Job]) -> str:
    """The first few of their names, for a sentence."""
    more = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
    return ", ".join(job.name for job in jobs[:3]) + more


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count != 1 else "")
