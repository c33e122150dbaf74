"""The routes of experiments, and of the plan: what a spec would run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

import experiments
from fusegpt.experiment import Experiment
from service.api.access import Submitter, Viewer
from service.api.admission import admit
from service.api.planning import plan_of
from service.api.problems import problems
from service.api.services import Use, gone_from
from service.api.wire import ExperimentDetail, ExperimentView, Plan, PlanRequest
from service.cluster.wanted import Gone
from service.errors import NotFound

router = APIRouter(prefix="/v1", tags=["experiments"])

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="The experiment's name.")]


@router.get("/experiments", responses=problems())
def names(_: Viewer) -> list[ExperimentView]:
    """All experiments, by name."""
    found = [experiments.load(name) for name in experiments.names()]
    return [ExperimentView(name=each.name, description=each.description) for each in found]


@router.get("/experiments/{name}", responses=problems(404))
def one(name: Name, _: Viewer) -> ExperimentDetail:
    """One experiment: its settings, their JSON Schema, and a spec to begin with."""
    if name not in experiments.names():
        raise NotFound(f"there is no experiment {name!r}; there are {', '.join(experiments.names())}")
    experiment = experiments.load(name)
    return ExperimentDetail(
        name=name,
        description=experiment.description,
        spec=default_spec(experiment),
        settings=experiment.settings(),
        json_schema=Experiment.model_json_schema(),
    )


@router.post("/plan", responses=problems())
def plan(asked: PlanRequest, use: Use, _: Submitter, gone: Annotated[Gone, Depends(gone_from)]) -> Plan:
    """Check a spec, and say what it would run; starts nothing."""
    admitted = admit(asked.spec, use.settings, use.runner.capacity())
    return plan_of(admitted.experiment, admitted.holds, use, probed=asked.probe, gone=gone)


def default_spec(experiment: Experiment) -> dict[str, Any]:
    """The spec that describes an experiment as it stands, with what people change most written out."""
    nested = experiment.model_dump(mode="json")
    return {"experiment": experiment.name, **{group: nested[group] for group in ("data", "search", "resources")}}
