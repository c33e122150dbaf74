"""The routes of registered models: versions, compare, promote, rollback."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

import experiments
from service.api.access import Admin, Submitter, Viewer
from service.api.problems import problems
from service.api.services import Services, Use
from service.api.wire import Comparison, DecisionView, Ended, LineupView, PromoteRequest, VersionView
from service.endpoint.problem import ProblemError
from service.errors import NotFound
from service.jobs.journal import finite
from service.registry.version import WITHDRAWN_AT, Version

router = APIRouter(prefix="/v1/models", tags=["models"])

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="The experiment's name.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.")]
LARGEST_VERSION = 2**31 - 1
WORDS = {"force": "force a promotion", "gate": "change the gate"}


@router.get("/{name}/versions", responses=problems(404))
def versions(name: Name, use: Use, _: Viewer) -> list[VersionView]:
    """All versions of a model, newest first."""
    champion = _champion(name, use)
    return [VersionView.of(version, champion) for version in use.registry.versions(name)]


@router.get("/{name}/lineup", responses=problems(404))
def lineup(name: Name, use: Use, _: Viewer) -> LineupView:
    """Who answers now, what is tried beside it as a canary or a shadow, and what was withdrawn last, and why."""
    _known(name)
    now = use.registry.lineup(name)
    champion, tried = now.champion.number if now.champion else None, now.challenger
    out = max((each for each in use.registry.versions(name) if each.withdrawn), key=_when_out, default=None)
    when = _when_out(out) if out else ""
    return LineupView(
        name=name,
        baseline=_baseline(name),
        champion=VersionView.of(now.champion, champion) if now.champion else None,
        challenger=VersionView.of(tried.version, champion) if tried else None,
        rollout=tried.rollout.mode if tried else "",
        share=tried.rollout.share if tried else 0.0,
        withdrawn=VersionView.of(out, champion) if out else None,
        withdrawn_at=datetime.fromisoformat(when) if when else None,
    )


@router.get("/{name}/compare", responses=problems(404))
def compare(
    name: Name,
    use: Use,
    _: Viewer,
    version: Annotated[int, Query(ge=1, le=LARGEST_VERSION, description="The one.")],
    against: Annotated[int, Query(ge=0, le=LARGEST_VERSION, description="The other; 0 is the champion.")] = 0,
) -> Comparison:
    """Two versions by the figures of their trainings, without judging anything anew."""
    champion = _champion(name, use)
    other = against or champion
    if other is None:
        raise NotFound(f"{name} has no champion to compare with; name a version in `against`")
    one, two = (VersionView.of(use.registry.version(name, number), champion) for number in (version, other))
    both = {key: (value, two.metrics.get(key)) for key, value in one.metrics.items()}
    differences = {key: a - b for key, (a, b) in both.items() if a is not None and b is not None}
    return Comparison(version=one, against=two, differences=differences)


@router.post("/{name}/versions/{number}/promote", responses=problems(404, 409))
def promote(name: Name, number: Number, asked: PromoteRequest, use: Use, caller: Submitter) -> DecisionView:
    """Make a version champion (or try it first) if it passes the gate beside the present one. 409 where it does not."""
    _known(name)
    for field, wanted in {"force": asked.force, "gate": asked.gate}.items():
        if wanted and not caller.may("admin"):
            raise ProblemError(403, f"{caller.name} is {caller.role}; to {WORDS[field]} needs admin", field)
    decision = use.registry.promote(name, number, asked.force, rollout=asked.rollout, gate=asked.gate)
    view = DecisionView.model_validate(_finite(asdict(decision)))
    if not view.accepted:
        raise ProblemError(409, view.reason, extra={"decision": view.model_dump()})
    return view


@router.post("/{name}/rollback", responses=problems(404, 409))
def rollback(name: Name, use: Use, _: Admin) -> Ended:
    """End a canary or a shadow; where there is none, make the champion before the present one champion again."""
    _known(name)
    ended = use.registry.end(name)
    champion = VersionView.of(ended.champion, ended.champion.number)
    return Ended(**champion.model_dump(), ended=ended.withdrawn)


def _when_out(version: Version) -> str:
    return version.tags.get(WITHDRAWN_AT, "")


@cache
def _baseline(name: str) -> str:
    experiment = experiments.load(name)
    return experiment.task.headline.baseline


def _finite(told: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(told, dict):
        return {key: _finite(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_finite(value) for value in told]
    return finite(told) if isinstance(told, float) else told


def _known(name: str) -> None:
    if name not in experiments.names():
        raise NotFound(f"there is no experiment {name!r}; there are {', '.join(experiments.names())}")


def _champion(name: str, use: Services) -> int | None:
    _known(name)
    champion = use.registry.champion(name)
    return champion.number if champion else None
