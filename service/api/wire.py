"""What goes over the wire: requests as they are read, answers as they are written."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field

from fusegpt.config import Config
from service.cluster.probe import Measured
from service.jobs.job import Event, Job
from service.jobs.journal import finite
from service.jobs.state import JobState
from service.registry.gate import GateConfig
from service.registry.rollout import Rollout
from service.registry.version import Version
from service.spec import JobSpec

LARGEST = 2**53 - 1  # JSON's whole numbers are exact up to here in every language


class Submission(Config):
    """A job to be run."""

    spec: JobSpec = Field(description="What to run; an experiment's default is at /v1/experiments/NAME.")
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher starts first.")


class PlanRequest(Config):
    """A spec to be looked at."""

    spec: JobSpec = Field(description="What would be run.")
    probe: bool = Field(default=False, description="Also measure a few real steps; takes up to a minute.")


class BudgetChange(Config):
    """New limits of a search; what is left out stays."""

    hours: float | None = Field(default=None, ge=0, le=1e6, description="Wall-clock hours; 0 sets no limit.")
    gpu_hours: float | None = Field(default=None, ge=0, le=1e6, description="Hours of reserved GPUs; 0 sets no limit.")
    trials: int | None = Field(default=None, ge=1, le=1_000_000, description="How many trials in all.")


class JobChange(Config):
    """What may change of a job; what is left out stays."""

    priority: int | None = Field(default=None, ge=-1000, le=1000, description="Higher starts first.")
    budget: BudgetChange | None = Field(default=None, description="Only of a job that waits or is paused.")


class Resumption(Config):
    """How a job goes on."""

    budget: BudgetChange | None = Field(
        default=None,
        description="New limits, in all: more than it has had.",
        examples=[{"trials": 48, "hours": 12}],
    )


class PromoteRequest(Config):
    """How a version is to be promoted."""

    force: bool = Field(default=False, description="Also where the gate says no; needs the role admin.")
    rollout: Rollout | None = Field(default=None, description="Try it beside the champion first.")
    gate: GateConfig | None = Field(default=None, description="Another gate than the usual; needs the role admin.")


class Problem(Config):
    """RFC 9457: what was wrong, and what would be right."""

    type: str = Field(description="about:blank: the status says it all.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong, and what would be right.")
    field: str = Field(default="", description="The dotted key, parameter or header that it is about.")
    errors: list[dict[str, str]] = Field(default=[], description="All of them, where several things are wrong.")
    decision: dict[str, Any] = Field(default={}, description="What the gate said, where it refused.")


class JobView(Config):
    """A job, as its users see it."""

    id: str = Field(description="Its identifier.")
    name: str = Field(description="Its name: the search's, and its run's in MLflow.")
    experiment: str = Field(description="The experiment's name.")
    state: JobState = Field(description="How it stands.")
    reason: str = Field(description="Why it waits, stopped or failed, in one sentence.")
    priority: int = Field(description="Higher starts first.")
    owner: str = Field(description="Who submitted it.")
    cpus: float = Field(description="CPUs that it holds while it runs.")
    gpus: float = Field(description="GPUs that it holds while it runs.")
    attempts: int = Field(description="How often it was started.")
    retries: int = Field(description="How often it was started again after it was lost.")
    created: AwareDatetime = Field(description="When it was submitted.")
    started: AwareDatetime | None = Field(description="When it was first started.")
    ended: AwareDatetime | None = Field(description="When it came to its end.")
    spec: dict[str, Any] = Field(description="What was asked for.")
    result: dict[str, Any] = Field(description="The best trial, its version and the gate's word.")

    @classmethod
    def of(cls, job: Job) -> JobView:
        return cls.model_validate(job.model_dump(include=set(cls.model_fields)))


class JobPage(Config):
    """Some jobs, newest first."""

    jobs: list[JobView] = Field(description="The jobs of this page.")
    next: int | None = Field(description="The cursor of the page after this; null where this is the last.")


class TrialView(Config):
    """One trial as far as it has come."""

    id: str = Field(description="Its name within the job.")
    number: int = Field(description="Its place among the draws; 0 is the default settings.")
    state: str = Field(description="running, cancelling, finished, stopped (early), cancelled or failed.")
    drawn: dict[str, Any] = Field(description="Its settings, by dotted key.")
    epoch: int = Field(description="Epochs done.")
    metrics: dict[str, float | None] = Field(description="Figures of its last epoch.")
    best: float | None = Field(description="Its best value of the search's metric.")
    seconds: float = Field(description="Wall-clock seconds that it ran.")
    error: str = Field(description="Why it failed, in one sentence.")

    @classmethod
    def of(cls, event: Event) -> TrialView:
        return cls.model_validate({"id": event.trial, **event.data})

    @classmethod
    def unbegun(cls, name: str, number: int, state: str) -> TrialView:
        return cls(id=name, number=number, state=state, drawn={}, epoch=0, metrics={}, best=None, seconds=0.0, error="")


class Progress(Config):
    """How far a job's search is."""

    metric: str = Field(description="What decides; empty before the search has begun.")
    mode: str = Field(description="Whether less (min) or more (max) of it is better.")
    planned: int = Field(description="How many trials at most; 0 before the search has begun.")
    states: dict[str, int] = Field(description="State of a trial -> how many.")
    best: float | None = Field(description="The best value so far; null where none is known.")
    trial: str = Field(description="The trial that has it.")
    drawn: dict[str, Any] = Field(description="That trial's settings, by dotted key.")


class VersionView(Config):
    """One registered model."""

    name: str = Field(description="The model: the experiment's name.")
    version: int = Field(description="Its number.")
    champion: bool = Field(description="Whether the endpoint serves it.")
    run_id: str = Field(description="The MLflow run that it came from.")
    metrics: dict[str, float | None] = Field(description="Figures of its training.")
    created: AwareDatetime = Field(description="When it was registered.")
    reason: str = Field(description="What the gate said, if it was asked.")
    withdrawn: str = Field(description="Why it was taken out of the traffic; empty where it was not.")

    @classmethod
    def of(cls, version: Version, champion: int | None) -> VersionView:
        return cls(
            name=version.name,
            version=version.number,
            champion=version.number == champion,
            run_id=version.run_id,
            metrics={key: finite(value) for key, value in version.metrics.items()},
            created=version.created,
            reason=version.reason,
            withdrawn=version.withdrawn,
        )


class Ended(VersionView):
    """The champion after a rollback."""

    ended: int = Field(description="The version that is out of the traffic now.")


class LineupView(Config):
    """Who answers for a model now, what is tried beside it, and what was taken out last."""

    name: str = Field(description="The model: the experiment's name.")
    baseline: str = Field(description="Figures whose name begins with it are a baseline's; empty where there is none.")
    champion: VersionView | None = Field(description="The version that answers; null where there is none.")
    challenger: VersionView | None = Field(description="The version that is tried beside it; null where none is.")
    rollout: str = Field(description="How it is tried: canary or shadow; empty where nothing is.")
    share: float = Field(description="The share of the requests that a canary answers.")
    withdrawn: VersionView | None = Field(description="The version that was taken out of the traffic last.")
    withdrawn_at: AwareDatetime | None = Field(description="When that was.")


class Comparison(Config):
    """Two versions by the figures of their trainings; what decides is the gate, on held-out samples."""

    version: VersionView = Field(description="The one.")
    against: VersionView = Field(description="The other; the champion unless asked otherwise.")
    differences: dict[str, float] = Field(description="Figure -> the one's value less the other's, where both have it.")


class CheckView(Config):
    """One question of the gate."""

    name: str = Field(description="error, latency, size or signature.")
    passed: bool = Field(description="Whether it was passed.")
    told: str = Field(description="What was found, in words.")
    figures: dict[str, float | None] = Field(description="The figures behind it.")


class DecisionView(Config):
    """What the gate decided."""

    accepted: bool = Field(description="Whether the version is champion now.")
    reason: str = Field(description="Why, in one sentence.")
    figures: dict[str, float | None] = Field(description="The figures behind it.")
    challenger: int = Field(description="The version that asked.")
    champion: int | None = Field(description="The version that it was compared with.")
    forced: bool = Field(description="Whether it was promoted though the gate said no.")
    checks: list[CheckView] = Field(description="Every question of the gate.")


class ExperimentView(Config):
    """One experiment."""

    name: str = Field(description="The name everywhere.")
    description: str = Field(description="What it asks, in one sentence.")


class ExperimentDetail(ExperimentView):
    """One experiment, with all that a form or an editor needs."""

    spec: dict[str, Any] = Field(description="A spec that submits it as it stands.")
    settings: dict[str, Any] = Field(description="Every setting by dotted key, with its default.")
    json_schema: dict[str, Any] = Field(description="JSON Schema of the settings, nested.")


class Curve(Config):
    """One trial's learning curve."""

    trial: str = Field(description="Its name within the job.")
    number: int = Field(description="Its place among the draws; 0 is the default settings.")
    state: str = Field(description="running, finished, stopped (early), cancelled or failed.")
    epochs: list[int] = Field(description="Epochs done, ascending.")
    values: list[float | None] = Field(description="The search's metric after each; null where it was no number.")


class RunLink(Config):
    """A job's run in MLflow."""

    run_id: str = Field(description="The parent run of its search.")
    url: str = Field(description="Its page; empty where runs are kept in a file: `fusegpt browse` opens them.")


class CallerView(Config):
    """Who asks."""

    name: str = Field(description="Whose token it is.")
    role: str = Field(description="viewer, submitter or admin; each may do what those before it may.")


class Links(Config):
    """Where else to look."""

    mlflow: str = Field(description="MLflow's pages; empty where runs are kept in a file: `fusegpt browse` opens them.")
    endpoint: str = Field(description="Where `fusegpt serve` answers; empty where it does not.")


class Plan(Config):
    """What a spec would run."""

    experiment: str = Field(description="The experiment's name.")
    trials: int = Field(description="How many trials at most.")
    epochs: int = Field(description="Epochs of a trial that is not stopped early.")
    algorithm: str = Field(description="How trials are chosen and cut.")
    metric: str = Field(description="What decides.")
    mode: str = Field(description="Whether less (min) or more (max) of it is better.")
    parameters: int = Field(description="Parameters of the default model.")
    smallest: int = Field(description="Parameters of the smallest model in the space.")
    largest: int = Field(description="Parameters of the largest model in the space.")
    flops: int | None = Field(
        description="Floating-point operations of one sample's forward, default model; null where it cannot be counted."
    )
    flops_of: str = Field(description="Which sample that is: an answer, or a training sample of what writes freely.")
    smallest_flops: int | None = Field(description="The same of the smallest model.")
    largest_flops: int | None = Field(description="The same of the largest model.")
    state_gb: float = Field(description="Memory of the largest one's weights, gradients and AdamW state, in fp32.")
    measured: dict[str, Measured] = Field(description="What a worker of the default and of the largest model takes.")
    not_measured: str = Field(description="Why that is not known, in one sentence; empty where it is.")
    at_once: int = Field(description="Trials that run at the same time.")
    workers: int = Field(description="Workers of a trial.")
    epochs_in_all: int = Field(description="Epochs of all trials, fewer where some are stopped early.")
    hours: float | None = Field(description="Estimate of all trials, from an epoch's seconds; null where not known.")
    hours_from: str = Field(description="Whence the estimate: the probe, or this experiment's earlier jobs.")
    budget_hours: float = Field(description="Where the search ends at the latest; 0 sets no limit.")
    budget_gpu_hours: float = Field(description="Hours of reserved GPUs after which it ends; 0 sets no limit.")
    cpus: float = Field(description="CPUs that the job would hold.")
    gpus: float = Field(description="GPUs that the job would hold.")
    refusals: list[str] = Field(description="Why it cannot fit, each naming the settings that would help.")
    settings: dict[str, Any] = Field(description="Every setting by dotted key.")
