"""The routes of jobs: submit, list, follow, control."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service.api import streams
from service.api.access import Caller, Submitter, Viewer
from service.api.admission import Admitted, admit
from service.api.problems import problems
from service.api.resumption import resumed, with_budget
from service.api.services import Services, Use
from service.api.wire import LARGEST, JobChange, JobPage, JobView, Resumption, Submission
from service.endpoint.problem import ProblemError
from service.errors import NotFound
from service.jobs.job import NAME, Job, now
from service.jobs.state import JobState
from service.jobs.store import Conflict, amend

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Id = Annotated[str, Path(pattern=NAME, description="A job's id or its name.")]
Key = Annotated[
    str,
    Header(pattern=r"^[\x21-\x7e]*$", max_length=200, description="The same key is the same job, however often sent."),
]
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The log."}
}
SSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "`id` is the number of the line in the job's log, `event` its kind; the last is `end`.",
    }
}

# What a word makes of a job in each state; the same state: it is so already. What is missing is a conflict.
WORDS: dict[str, dict[JobState, JobState]] = {
    "cancel": {
        "queued": "stopped", "paused": "stopped", "starting": "stopping", "running": "stopping", "pausing": "stopping",
        "stopping": "stopping", "stopped": "stopped",
    },
    "pause": {
        "queued": "paused", "starting": "pausing", "running": "pausing", "pausing": "pausing", "paused": "paused",
    },
}  # fmt: skip


@router.post("", status_code=201, responses={200: {"model": JobView, "description": "The key's job."}, **problems(409)})
def submit(asked: Submission, use: Use, caller: Submitter, response: Response, idempotency_key: Key = "") -> JobView:
    """Check a spec and queue it. Nothing starts where anything is wrong."""
    admitted = admit(asked.spec, use.settings, use.runner.capacity())
    job = _job(asked, admitted, caller, idempotency_key)
    _refuse_used_name(use, job.name)
    kept = use.store.submit(job)
    response.status_code = 201 if kept.id == job.id else 200
    response.headers["Location"] = f"/v1/jobs/{kept.id}"
    return JobView.of(kept)


@router.get("", responses=problems())
def jobs(
    use: Use,
    _: Viewer,
    state: Annotated[list[JobState], Query(description="Only these states.")] = [],  # noqa: B006
    experiment: Annotated[str, Query(pattern=r"^[a-z0-9_]*$", description="Only this experiment's.")] = "",
    cursor: Annotated[int, Query(ge=0, le=LARGEST, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="Jobs of a page.")] = 50,
) -> JobPage:
    """List jobs, newest first."""
    found = use.store.jobs(state, experiment, cursor, limit + 1)
    page, more = found[:limit], len(found) > limit
    return JobPage(jobs=[JobView.of(job) for job in page], next=page[-1].number if more else None)


@router.get("/{job}", responses=problems(404))
def one(job: Id, use: Use, _: Viewer) -> JobView:
    """One job as it stands."""
    return JobView.of(use.store.get(job))


@router.get("/{job}/events", response_class=StreamingResponse, responses={**SSE, **problems(404)})
async def events(
    job: Id,
    use: Use,
    _: Viewer,
    last_event_id: Annotated[int, Header(ge=0, le=LARGEST, description="Go on after this line.")] = 0,
) -> StreamingResponse:
    """What happens to a job and its trials, as it happens; ends with the job."""
    found = await run_in_threadpool(use.store.get, job)
    return _stream(streams.events(use.store, found.id, last_event_id), "text/event-stream")


@router.get("/{job}/logs", response_class=StreamingResponse, responses={**TEXT, **problems(404)})
async def logs(
    job: Id, use: Use, _: Viewer, follow: Annotated[bool, Query(description="Until the job has ended.")] = False
) -> StreamingResponse:
    """What the job's processes wrote."""
    found = await run_in_threadpool(use.store.get, job)
    return _stream(streams.log(use.store, use.runner, found.id, follow), "text/plain; charset=utf-8")


@router.post("/{job}/cancel", responses=problems(404, 409))
def cancel(job: Id, use: Use, caller: Submitter) -> JobView:
    """Stop a job; its trials keep their state, and what it holds is free within seconds."""
    return _say("cancel", job, use, caller, f"cancelled by {caller.name}")


@router.post("/{job}/pause", responses=problems(404, 409))
def pause(job: Id, use: Use, caller: Submitter) -> JobView:
    """Let a job rest; it goes on from its checkpoints when it is resumed."""
    return _say("pause", job, use, caller, f"paused by {caller.name}")


@router.post("/{job}/resume", responses=problems(404, 409))
def resume(job: Id, use: Use, caller: Submitter, asked: Resumption | None = None) -> JobView:
    """Queue a job again that is paused, was cancelled or has failed; with a larger budget also one that succeeded."""

    def decide(present: Job) -> dict[str, Any]:
        check_owner(present, caller)
        return resumed(present, asked.budget if asked else None, use, caller)

    return JobView.of(amend(use.store, job, decide))


@router.patch("/{job}", responses=problems(404, 409))
def change(job: Id, asked: JobChange, use: Use, caller: Submitter) -> JobView:
    """Change a job's priority, or the budget of one that waits or is paused."""

    def decide(present: Job) -> dict[str, Any]:
        check_owner(present, caller)
        if present.final:
            raise Conflict(f"job {present.name} has ended ({present.state}): resume it with a larger budget")
        changes: dict[str, Any] = {} if asked.priority is None else {"priority": asked.priority}
        return changes | (with_budget(present, asked.budget, use) if asked.budget else {})

    return JobView.of(amend(use.store, job, decide))


def _job(asked: Submission, admitted: Admitted, caller: Caller, key: str) -> Job:
    identifier, created = secrets.token_hex(6), now()
    experiment = admitted.experiment.name
    return Job(
        id=identifier,
        name=asked.spec.name or f"{experiment}-{created:%Y%m%d-%H%M%S}-{identifier[:4]}",
        experiment=experiment,
        spec=admitted.spec,
        cpus=admitted.holds.cpus,
        gpus=admitted.holds.gpus,
        owner=caller.name,
        idempotency_key=key,
        priority=asked.priority,
        created=created,
    )


def _refuse_used_name(use: Services, name: str) -> None:
    """A search that was started without the service has its folder, and no job."""
    if (use.settings.runs / name).exists():
        try:
            use.store.get(name)
        except NotFound:
            raise Conflict(f"name: there is a search {name!r} already; choose another name, or leave it out") from None


def _say(word: str, job: str, use: Services, caller: Caller, reason: str) -> JobView:
    def decide(present: Job) -> dict[str, Any]:
        check_owner(present, caller)
        to = WORDS[word].get(present.state)
        if to is None:
            raise Conflict(f"job {present.name} is {present.state}: there is nothing to {word}")
        return {} if to == present.state else {"state": to, "reason": reason}

    return JobView.of(amend(use.store, job, decide))


def check_owner(job: Job, caller: Caller) -> None:
    """Raises ProblemError 403 where the job is somebody else's, and the caller no admin."""
    if caller.name != job.owner and not caller.may("admin"):
        raise ProblemError(403, f"job {job.name} is {job.owner}'s; only {job.owner} and admins may change it")


def _stream(content: Any, media_type: str) -> StreamingResponse:
    # A proxy that buffers would hold back what is told now.
    return StreamingResponse(
        content, media_type=media_type, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
