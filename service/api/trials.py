"""The routes of a job's trials: list them, cancel one.

A trial is cancelled by a note in its folder, which its own process reads wherever it runs: FUSEGPT_HOME is shared.
"""

from __future__ import annotations

import pathlib
from typing import Annotated

from fastapi import APIRouter, Path

from fusegpt.config import SettingError
from service.api.access import Submitter, Viewer
from service.api.jobs import Id, check_owner
from service.api.problems import problems
from service.api.services import Services, Use
from service.api.wire import TrialView
from service.cluster import notes
from service.cluster.record import trial_id
from service.errors import NotFound
from service.jobs.job import Job
from service.jobs.store import Conflict
from service.spec import JobSpec, resolve

router = APIRouter(prefix="/v1/jobs", tags=["trials"])

Number = Annotated[int, Path(ge=0, le=999_999, description="The trial's number; 0 is the default settings.")]


@router.get("/{job}/trials", responses=problems(404))
def trials(job: Id, use: Use, _: Viewer) -> list[TrialView]:
    """All trials of a job that have begun, and those that were cancelled before."""
    return _trials(use, use.store.get(job))


@router.post("/{job}/trials/{number}/cancel", responses=problems(404, 409))
def cancel(job: Id, number: Number, use: Use, caller: Submitter) -> TrialView:
    """End one trial: it keeps its state, and what it holds goes to the next. One that has not begun never trains."""
    present = use.store.get(job)
    check_owner(present, caller)
    before = _find(use, present, number)
    if before is not None and before.state not in ("running", "cancelling", "cancelled"):
        raise Conflict(f"{before.id} of job {present.name} is {before.state}: there is nothing to cancel")
    if before is None or before.state == "running":
        if present.final:
            raise Conflict(f"job {present.name} has ended ({present.state}): there is nothing to cancel")
        if before is None:
            _check_number(present, number)
        notes.cancel(_folder(use, present) / trial_id(number))
        told = {"trial": trial_id(number), "to": "cancelled", "by": caller.name}
        use.store.append(present.id, "changed", told)
    after = _find(use, present, number)
    assert after is not None
    return after


def _check_number(job: Job, number: int) -> None:
    """Raises NotFound for a trial that the search will never come to."""
    try:
        count = resolve(JobSpec.model_validate(job.spec)).search.trials
    except (SettingError, ValueError):  # a spec of an older version: let the search say what is wrong with it
        return
    if number >= count:
        raise NotFound(f"job {job.name} has no trial {number}; there are {count}, counted from 0")


def _find(use: Services, job: Job, number: int) -> TrialView | None:
    return next((trial for trial in _trials(use, job) if trial.number == number), None)


def _trials(use: Services, job: Job) -> list[TrialView]:
    told = {trial.number: trial for trial in map(TrialView.of, use.store.trials(job.id))}
    for number in notes.cancelled(_folder(use, job)):
        if number not in told:
            told[number] = TrialView.unbegun(trial_id(number), number, "cancelled")
        elif told[number].state == "running":
            told[number] = told[number].model_copy(update={"state": "cancelling"})
    return [told[number] for number in sorted(told)]


def _folder(use: Services, job: Job) -> pathlib.Path:
    return use.settings.runs / job.name
