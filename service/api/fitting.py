"""What of a plan cannot fit: more memory than a machine has, more time than the budget gives."""

from __future__ import annotations

from dataclasses import dataclass

from fusegpt.experiment import Resources
from service.api.services import Services
from service.api.wire import Plan
from service.jobs.queue import KINDS, names
from service.jobs.state import ACTIVE

MANY = 1000  # active jobs
OVER = 2.0  # times the budget: an estimate may be wrong by as much as it says


@dataclass(frozen=True)
class Room:
    """The memory of a machine, or of a GPU, and how many workers share it."""

    gb: float
    workers: int


def room_for(resources: Resources, at_once: int, use: Services) -> Room | None:
    """What the workers of a job find, `at_once` of its trials running; None where it is not known here."""
    workers = at_once * resources.workers_per_trial
    if resources.gpus_per_worker:
        gb = None if use.settings.ray_address else _of_gpu()
        sharing = max(int(1 / resources.gpus_per_worker + 1e-6), 1)
        return None if gb is None else Room(gb, min(sharing, workers))
    if not use.settings.ray_address:
        return Room(_of_machine(), workers)
    largest = max((node.get("memory", 0.0) for node in use.runner.capacity().nodes), default=0.0)
    return Room(largest / 1e9, 1) if largest else None  # Ray decides which workers share a node


def full(resources: Resources, use: Services) -> str:
    """Which jobs hold so much of the cluster that a probe finds no worker's place; empty where one is free."""
    if not use.settings.ray_address:
        return ""
    capacity, active = use.runner.capacity(), use.store.jobs(states=ACTIVE, limit=MANY)
    free = {kind: getattr(capacity, kind) - sum(getattr(job, kind) for job in active) for kind in KINDS}
    takes = {"cpus": resources.cpus_per_worker, "gpus": resources.gpus_per_worker}
    lacking = [name for kind, name in KINDS.items() if takes[kind] > free[kind] + 1e-9]
    if not lacking or not active:
        return ""
    return f"the cluster has no {lacking[0]} free, held by {names(active)}"


def _of_machine() -> float:
    import psutil

    return float(psutil.virtual_memory().total) / 1e9


def _of_gpu() -> float | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(0).total_memory) / 1e9


def refusals(plan: Plan, room: Room | None) -> list[str]:
    """Why the plan cannot be carried out, one sentence each, naming the settings that would help."""
    return [*_memory(plan, room), *_time(plan)]


def _memory(plan: Plan, room: Room | None) -> list[str]:
    largest = plan.measured.get("largest")
    needs, what = (largest.peak_gb, "takes") if largest else (plan.state_gb, "needs at least")
    if room is None:
        return []
    if needs > room.gb:
        return [
            f"resources: a worker of the largest model {what} {needs:.3g} GB, and there are {room.gb:.3g} GB; lower "
            "training.batch_size or the upper ends of search.space, or set search.constraints.parameters.max"
        ]
    if needs * room.workers > room.gb:
        return [
            f"resources: {room.workers} workers of the largest model share {room.gb:.3g} GB, and each {what} "
            f"{needs:.3g} GB; lower resources.concurrent_trials, or raise resources.gpus_per_worker where it is a GPU"
        ]
    return []


def _time(plan: Plan) -> list[str]:
    if plan.hours is None:
        return []
    budgets = {"hours": (plan.budget_hours, plan.hours), "gpu_hours": (plan.budget_gpu_hours, plan.hours * plan.gpus)}
    return [
        f"search.budget.{name}: is {budget:g}, and all trials take about {needs:.3g} by {plan.hours_from}; raise it, "
        "or lower search.trials or training.epochs"
        for name, (budget, needs) in budgets.items()
        if budget and needs > OVER * budget
    ]
