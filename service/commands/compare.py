"""`fusegpt compare`: jobs, searches or trials of them side by side: the settings that differ, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from json import loads
from typing import Any

import typer

from fusegpt.config import SettingError, flatten
from service.cli import show
from service.commands.jobs import job_service
from service.errors import NotFound
from service.remote import Jobs, Json
from service.settings import Settings

NONE = "-"
OF_THE_SEARCH = ("search.", "resources.", "description")


def compare(names: list[str], *, json: bool) -> None:
    """Each name is a job or a search, which stands for its best trial, or NAME/TRIAL."""
    if len(names) < 2:
        raise SettingError("compare: name two or more, each a job, a search, or NAME/TRIAL")
    with job_service(Settings.read()) as jobs:
        subjects = {name: _subject(jobs, name) for name in dict.fromkeys(names)}
    differing = _differing([subject["settings"] for subject in subjects.values()])
    metrics = sorted({key for subject in subjects.values() for key in subject["metrics"]})
    if json:
        return show({"settings": differing, "compared": subjects})
    rows = [["", *subjects], ["trial", *(subject["trial"] for subject in subjects.values())]]
    rows += [[key, *(_cell(each["settings"].get(key)) for each in subjects.values())] for key in differing]
    rows += [[key, *(_cell(each["metrics"].get(key)) for each in subjects.values())] for key in metrics]
    gates = [f"gate, {name}: {subject['gate']}" for name, subject in subjects.items() if subject["gate"]]
    typer.echo("\n".join([_table(rows), *gates]))
    return None


def _subject(jobs: Jobs, name: str) -> Json:
    """A trial with all its settings, its latest figures, and what the gate said of it."""
    whole, _, trial = name.partition("/")
    try:
        job = jobs.job(whole)
    except NotFound:
        return _of_search(jobs, whole, trial)
    return _of_job(jobs, job, trial)


def _of_job(jobs: Jobs, job: Json, trial_name: str) -> Json:
    name, trials = job["name"], jobs.trials(job["name"])
    trial = _pick(name, trials, trial_name or jobs.progress(name)["trial"])
    settings = {**jobs.experiment(job["experiment"])["settings"], **_written(job["spec"]), **trial["drawn"]}
    gate = job["result"].get("gate", "") if job["result"].get("trial") == trial["id"] else ""
    return _told(name, trial, settings, gate)


def _of_search(jobs: Jobs, name: str, trial_name: str) -> Json:
    """Of one that was no job: as MLflow has it."""
    try:
        trials = jobs.search_trials(name)
    except NotFound:
        raise NotFound(f"there is no job and no search {name!r}") from None
    trial = _pick(name, trials, trial_name or jobs.best(name)["trial"]["id"])
    settings = {key: _read(value) for key, value in trial["settings"].items()}
    return _told(name, trial, {**settings, **trial["drawn"]}, trial["gate"])


def _pick(name: str, trials: list[Json], wanted: str) -> Json:
    if not wanted:
        raise NotFound(f"{name}: no trial has reported its metric yet")
    for trial in trials:
        if wanted in (trial["id"], str(trial["number"])):
            return trial
    raise NotFound(f"{name} has no trial {wanted!r}; there are {', '.join(trial['id'] for trial in trials)}")


def _told(name: str, trial: Json, settings: Mapping[str, Any], gate: str) -> Json:
    """What is compared of a trial: not the settings of the search that it was part of."""
    return {
        "job": name,
        "trial": trial["id"],
        "state": trial["state"],
        "epoch": trial["epoch"],
        "settings": {key: value for key, value in settings.items() if not key.startswith(OF_THE_SEARCH)},
        "metrics": {"best": trial["best"], **trial["metrics"]},
        "gate": gate,
    }


def _read(shown: Any) -> Any:
    """A setting as MLflow shows it: text as it is, all else as JSON."""
    try:
        return loads(shown)
    except ValueError:
        return shown


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
