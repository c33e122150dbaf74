"""`fusegpt train` and `fusegpt tune`."""

from __future__ import annotations

import typer

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment, parse
from service import run
from service.cli import show
from service.cluster.extension import extended
from service.cluster.record import SEARCH, read_search
from service.commands.job import experiment_of
from service.errors import JobFailed, NotFound
from service.events import Search
from service.progress import Progress, outcome_json, outcome_text
from service.settings import Settings


def train(job: str, assignments: list[str], data: str, *, name: str, dry_run: bool, json: bool) -> None:
    """Train, track and register one model."""
    settings = Settings.read()
    experiment = experiment_of(job, assignments, data, settings)
    if dry_run:
        return _plan(experiment, 1, json=json)
    search = run.search_of(_single(experiment), name, settings)
    _finish(run.train(search, settings, [Progress.on_terminal(json=json)]), json=json)


def tune(
    job: str,
    assignments: list[str],
    data: str,
    *,
    name: str,
    resume: str,
    trials: int,
    hours: float,
    promote: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Search, track, register the best and let it pass the gate."""
    settings = Settings.read()
    if resume:
        search = extended(_interrupted(resume, job, assignments, data, name, settings), trials, hours)
    else:
        limits = [f"search.trials={trials}"] * bool(trials) + [f"search.budget.hours={hours}"] * bool(hours)
        search = run.search_of(experiment_of(job, [*assignments, *limits], data, settings), name, settings)
    if dry_run:
        return _plan(search.experiment, search.experiment.search.trials, json=json)
    observers = [Progress.on_terminal(json=json)]
    _finish(run.tune(search, settings, observers, resume=bool(resume), promote=promote), json=json)


def _interrupted(resume: str, job: str, assignments: list[str], data: str, name: str, settings: Settings) -> Search:
    if job or assignments or data or name:
        raise SettingError("--resume: goes on with what was started; leave out the spec, --set, --data and --name")
    if not (settings.runs / resume / SEARCH).is_file():
        known = sorted(file.parent.name for file in settings.runs.glob(f"*/{SEARCH}"))
        raise NotFound(f"there is no search {resume!r} in {settings.runs}; there are {', '.join(known) or 'none'}")
    return read_search(settings.runs / resume)


def _single(experiment: Experiment) -> Experiment:
    """The experiment without a search: its settings as they stand."""
    nested = experiment.model_dump(mode="json")
    nested["search"].update(space={}, trials=1)
    return parse(nested)


def _plan(experiment: Experiment, trials: int, *, json: bool) -> None:
    """What would run. Building the task checks data and model against each other."""
    task = experiment.task.build(experiment)
    parameters = sum(parameter.numel() for parameter in task.build_model().parameters())
    if json:
        return show({"trials": trials, "parameters": parameters, "settings": experiment.settings()})
    typer.echo(
        f"{experiment.name}: {trials} trials of {experiment.training.epochs} epochs, by {experiment.search.algorithm}"
    )
    typer.echo(f"default model: {parameters:,} parameters; judged by {task.headline.name} ({task.headline.mode})")
    for key, domain in experiment.search.space.items():
        typer.echo(f"  {key:<20} {domain.spec()}")
    return None


def _finish(outcome: run.Outcome, *, json: bool) -> None:
    if json:
        show(outcome_json(outcome))
    else:
        typer.echo(outcome_text(outcome))
    if outcome.best is None:
        raise JobFailed(next((trial.error for trial in outcome.trials if trial.error), "no trial reported its metric"))
