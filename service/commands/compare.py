"""`fusegpt compare`: jobs or trials side by side: the settings that differ, and their figures."""

from __future__ import annotations

from typing import Any

import typer

from fusegpt.config import SettingError, flatten
from service.cli import show
from service.commands.jobs import job_service
from service.errors import NotFound
from service.remote import Jobs, Json
from service.settings import Settings

NONE = "-"


def compare(names: list[str], *, json: bool) -> None:
    """Each name is a job, which stands for its best trial, or JOB/TRIAL."""
    if len(names) < 2:
        raise SettingError("compare: name two or more, each a job or JOB/TRIAL")
    with job_service(Settings.read()) as jobs:
        subjects = {name: _subject(jobs, name) for name in dict.fromkeys(names)}
    differing = _differing([subject["settings"] for subject in subjects.values()])
    metrics = sorted({key for subject in subjects.values() for key in subject["metrics"]})
    if json:
        return show({"settings": differing, "compared": subjects})
    rows = [["", *subjects], ["trial", *(subject["trial"] for subject in subjects.values())]]
    rows += [[key, *(_cell(each["settings"].get(key)) for each in subjects.values())] for key in differing]
    rows += [[key, *(_cell(each["metrics"].get(key)) for each in subjects.values())] for key in metrics]
    typer.echo(_table(rows))
    return None


def _subject(jobs: Jobs, name: str) -> Json:
    """A trial with all its settings and its latest figures."""
    job_name, _, trial_name = name.partition("/")
    job, trials = jobs.job(job_name), jobs.trials(job_name)
    trial_name = trial_name or jobs.progress(job_name)["trial"]
    if not trial_name:
        raise NotFound(f"{job_name}: no trial has reported its metric yet")
    trial = next((each for each in trials if trial_name in (each["id"], str(each["number"]))), None)
    if trial is None:
        raise NotFound(f"{job_name} has no trial {trial_name!r}; there are {', '.join(each['id'] for each in trials)}")
    settings = {**jobs.experiment(job["experiment"])["settings"], **_written(job["spec"]), **trial["drawn"]}
    settings.pop("search.space", None)
    return {
        "job": job["name"],
        "trial": trial["id"],
        "state": trial["state"],
        "epoch": trial["epoch"],
        "settings": settings,
        "metrics": {"best": trial["best"], **trial["metrics"]},
    }


def _written(spec: Json) -> dict[str, Any]:
    """What a kept spec changes, by dotted key. It was checked when it was submitted."""
    groups = {
        group: {k: v for k, v in spec.get(group, {}).items() if k != "space"}
        for group in ("data", "search", "resources")
    }
    written = {**flatten(groups), **flatten(spec.get("set", {}))}
    return {key: value for key, value in written.items() if not key.startswith("search.space") and value != {}}


def _differing(settings: list[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for each in settings for key in each)
    return sorted(key for key in keys if any(each.get(key) != settings[0].get(key) for each in settings))


def _cell(value: Any) -> str:
    if value is None:
        return NONE
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
