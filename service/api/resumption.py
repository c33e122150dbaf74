"""A job that goes on: one that was paused, and one that has ended and is to have more trials or time than it had."""

from __future__ import annotations

from typing import Any

from fusegpt.config import SettingError
from fusegpt.experiment import SearchConfig
from service.api.access import Caller
from service.api.admission import admit
from service.api.services import Services
from service.api.wire import BudgetChange
from service.cluster.extension import GPU_HOURS, HOURS, TRIALS, check_limits
from service.cluster.record import SEARCH, read_search
from service.jobs.job import Job
from service.jobs.state import ACTIVE
from service.jobs.store import Conflict
from service.spec import JobSpec, resolve

GOES_ON = ("queued", "starting", "running")


def resumed(job: Job, budget: BudgetChange | None, use: Services, caller: Caller) -> dict[str, Any]:
    """What changes of a job that goes on; nothing where it does already, and is to have no other budget.

    Raises Conflict where it cannot go on, and SettingError naming the dotted key where the budget cannot be.
    """
    if job.final:
        return _after_its_end(job, budget, use, caller)
    changes = with_budget(job, budget, use) if budget else {}
    if job.state in GOES_ON:
        return changes
    if job.state != "paused":
        raise Conflict(f"job {job.name} is {job.state}: there is nothing to resume")
    return {**changes, "state": "queued", "reason": "", "no_place_since": None}


def _after_its_end(job: Job, budget: BudgetChange | None, use: Services, caller: Caller) -> dict[str, Any]:
    """Its spec is looked at anew: what was right when it was submitted may be wrong now."""
    if job.failure == "spec":
        raise Conflict(f"job {job.name} has failed ({job.reason}): submit it again with another spec")
    changes = with_budget(job, budget or BudgetChange(), use)
    if job.state == "succeeded" and _asks(changes["spec"]) == _asks(job.spec):
        raise Conflict(
            f"job {job.name} has succeeded: to go on it needs more than it had, in all, of {TRIALS}, {HOURS} or "
            f"{GPU_HOURS}"
        )
    limits = ", ".join(f"{key} {value:g}" for key, value in _limits(budget).items())
    reason = f"extended by {caller.name}: {limits}" if limits else f"resumed by {caller.name}"
    return {
        **changes,
        "state": "queued",
        "reason": reason,
        "failure": "",
        "retries": 0,
        "retried": {},
        "not_before": None,
    }


def with_budget(job: Job, budget: BudgetChange, use: Services) -> dict[str, Any]:
    """The job's spec with new limits, in all. A search reads them when it starts.

    Raises Conflict where it has started, and SettingError where it has had more already.
    """
    if job.state in ACTIVE:
        raise Conflict(f"job {job.name} is {job.state}: its search has read its budget; pause it, change it, resume it")
    changes = _limits(budget)
    spec = JobSpec.model_validate(job.spec)
    written = {key: value for key, value in spec.settings().items() if key.startswith("search.")} | changes
    spec = spec.model_copy(
        update={"search": {}, "set": {k: v for k, v in spec.set.items() if not k.startswith("search")} | written}
    )
    try:
        admitted = admit(spec, use.settings, use.runner.capacity())
    except SettingError as error:
        raise SettingError(f"budget: {error}" if changes else str(error)) from None
    folder = use.settings.runs / job.name
    if (folder / SEARCH).is_file():
        check_limits(read_search(folder), changes)
    return {"spec": admitted.spec, "cpus": admitted.holds.cpus, "gpus": admitted.holds.gpus}


def _asks(spec: dict[str, Any]) -> SearchConfig:
    return resolve(JobSpec.model_validate(spec)).search


def _limits(budget: BudgetChange | None) -> dict[str, Any]:
    """The limits that are asked for, by dotted key."""
    asked = budget or BudgetChange()
    wanted = {HOURS: asked.hours, GPU_HOURS: asked.gpu_hours, TRIALS: asked.trials}
    return {key: value for key, value in wanted.items() if value is not None}
