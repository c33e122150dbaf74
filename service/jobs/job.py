"""`Job`: one thing that somebody asked for, as it stands. `Event`: one thing that happened to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from fusegpt.config import Config
from service.jobs.retry import FailureKind
from service.jobs.state import FINAL, JobState

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"

EventKind = Literal[
    "state", "changed", "search_started", "trial_started", "trial_reported", "trial_ended", "search_ended"
]


def now() -> datetime:
    return datetime.now(UTC)


class Handle(Config):
    """Where a job's process is: enough to know it again, and never to take another for it."""

    host: str = Field(description="The machine.")
    pid: int = Field(ge=1, description="The process.")
    began: float = Field(description="When the process began (Unix seconds): a pid may be used again.")


class Job(Config):
    """One job. What it asks for is `spec`; `reason` says in a sentence why it waits, stopped or failed."""

    id: str = Field(pattern=NAME, description="Its identifier, made by the service.")
    number: int = Field(default=0, ge=0, description="Its place in the order of submission; the store gives it.")
    version: int = Field(default=0, ge=0, description="How often it was changed; the store counts.")
    name: str = Field(pattern=NAME, description="Its name: the search's, in the runs folder and in MLflow.")
    experiment: str = Field(description="The experiment's name.")
    spec: dict[str, Any] = Field(description="What was asked for, as service.spec.JobSpec reads it.")
    cpus: float = Field(default=0.0, ge=0, description="CPUs that it holds while it runs.")
    gpus: float = Field(default=0.0, ge=0, description="GPUs that it holds while it runs.")
    owner: str = Field(default="", description="Who submitted it.")
    idempotency_key: str = Field(default="", description="The submission's own key; the same key is the same job.")
    request: str = Field(default="", description="Fingerprint of what was submitted; the store makes it.")
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher starts first.")
    state: JobState = Field(default="queued", description="How it stands.")
    reason: str = Field(default="", description="Why it waits, stopped or failed, in one sentence.")
    failure: FailureKind | Literal[""] = Field(default="", description="The class of the failure that ended it.")
    attempts: int = Field(default=0, ge=0, description="How often it was started, resumptions included.")
    retries: int = Field(default=0, ge=0, description="How often it was started again after it was lost.")
    retried: dict[FailureKind, int] = Field(default={}, description="By the class of the failure, since it got on.")
    progress: int = Field(default=0, ge=0, description="How far its trials had come when it was last started again.")
    created: AwareDatetime = Field(description="When it was submitted.")
    started: AwareDatetime | None = Field(default=None, description="When it was first started.")
    ended: AwareDatetime | None = Field(default=None, description="When it came to its end.")
    moved: AwareDatetime | None = Field(default=None, description="When its state last changed.")
    not_before: AwareDatetime | None = Field(default=None, description="A retry waits until then.")
    no_place_since: AwareDatetime | None = Field(default=None, description="Since when no host can take its trials.")
    handle: Handle | None = Field(default=None, description="Its process, where one is at work.")
    result: dict[str, Any] = Field(default={}, description="The best trial, its version and the gate's word.")

    @property
    def final(self) -> bool:
        return self.state in FINAL


class Event(Config):
    """One line of a job's log. Numbers of a job are 1, 2, 3 ... without a gap."""

    job: str = Field(description="The job's id.")
    sequence: int = Field(ge=1, description="Its place in the job's log.")
    time: AwareDatetime = Field(description="When it was written.")
    kind: EventKind = Field(description="What happened.")
    trial: str = Field(default="", description="The trial that it is about; empty for the job itself.")
    data: dict[str, Any] = Field(description="What there is to say about it.")
