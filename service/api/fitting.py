"""What of a plan cannot fit: more memory than a machine has, more time than the budget gives."""

from __future__ import annotations

from fusegpt.experiment import Resources
from service.api.services import Services
from service.api.wire import Plan

OVER = 2.0  # times the budget: an estimate may be wrong by as much as it says


def memory_gb(resources: Resources, use: Services) -> float | None:
    """The memory of the machine, or of the GPU, that a worker has a part of; None where it is not known here."""
    if use.settings.ray_address:
        if resources.gpus_per_worker:
            return None
        nodes = [node.get("memory", 0.0) / 1e9 for node in use.runner.capacity().nodes]
        return max(nodes, default=0.0) or None
    return _of_gpu() if resources.gpus_per_worker else _of_machine()


def _of_machine() -> float:
    import psutil

    return float(psutil.virtual_memory().total) / 1e9


def _of_gpu() -> float | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(0).total_memory) / 1e9


def refusals(plan: Plan, has_gb: float | None) -> list[str]:
    """Why the plan cannot be carried out, one sentence each, naming the settings that would help."""
    return [*_memory(plan, has_gb), *_time(plan)]


def _memory(plan: Plan, has_gb: float | None) -> list[str]:
    largest = plan.measured.get("largest")
    needs, what = (largest.peak_gb, "takes") if largest else (plan.state_gb, "needs at least")
    if has_gb is None or needs <= has_gb:
        return []
    return [
        f"resources: a worker of the largest model {what} {needs:.3g} GB, and there are {has_gb:.3g} GB; lower "
        "training.batch_size or the upper ends of search.space, or set search.constraints.parameters.max"
    ]


def _time(plan: Plan) -> list[str]:
    budget = plan.budget_hours
    if not budget or plan.hours is None or plan.hours <= OVER * budget:
        return []
    return [
        f"search.budget.hours: is {budget:g}, and all trials take about {plan.hours:.3g} h by {plan.hours_from}; raise "
        "it, or lower search.trials or training.epochs"
    ]
