"""`fusegpt submit`, `plan`, `jobs`, `status`, `logs`, `cancel`, `pause` and `resume`: with a server and without one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import typer

from fusegpt.config import SettingError
from service.cli import show
from service.commands import job_text
from service.commands.job import Asked
from service.commands.said import said_if_slow
from service.commands.watch import watch
from service.errors import ClusterUnreachable, JobFailed
from service.remote import HttpJobs, Jobs, Json, Word
from service.settings import Settings

ENDED = ("succeeded", "failed", "stopped")
PATIENCE_S = 60.0  # how long a server that was there may be away while its job is followed
AGAIN_S = 1.0


@contextmanager
def job_service(settings: Settings) -> Iterator[Jobs]:
    """The job service that the settings name: an API, or the one in this process."""
    if settings.address:
        jobs: Jobs = HttpJobs(settings.address, settings.token)
    else:
        from service.in_process import InProcessJobs

        jobs = InProcessJobs(settings)
    try:
        yield jobs
    finally:
        jobs.close()


@dataclass(frozen=True)
class Planning:
    """How `submit` plans: `shown` before anything is queued, `probed` by a few real steps, `forced` over a refusal."""

    shown: bool = True
    probed: bool = True
    forced: bool = False


def submit(asked: Asked, *, priority: int, planning: Planning, dry_run: bool, follow: bool, json: bool) -> None:
    """Show the plan and queue the job; with `follow`, watch it to its end. Raises SettingError for what cannot fit."""
    import secrets

    spec, settings = asked.spec(), Settings.read()
    with job_service(settings) as jobs:
        if dry_run or (planning.shown and not json):
            _plan(jobs, spec, settings, planning, json=json)
        if dry_run:
            return None
        kept = jobs.submit(spec, priority, secrets.token_hex(16))
        if follow:
            return _follow(jobs, kept, json=json)
    if json:
        return show(kept)
    typer.echo(job_text.submitted(kept))
    return None


def plan(asked: Asked, *, planning: Planning, json: bool) -> None:
    """What a spec would run. Raises SettingError for what cannot fit."""
    spec, settings = asked.spec(), Settings.read()
    with job_service(settings) as jobs:
        _plan(jobs, spec, settings, planning, json=json)


def list_(experiment: str, limit: int, *, follow: bool, json: bool) -> None:
    """The newest jobs; with `follow`, as they change, until interrupted."""
    _refuse_json_of_what_changes(follow, json)
    with job_service(Settings.read()) as jobs:
        if follow:
            return watch(lambda: (job_text.rows(jobs.jobs(experiment, limit)), False))
        found = jobs.jobs(experiment, limit)
    if json:
        return show({"jobs": found})
    typer.echo("\n".join(job_text.rows(found)))
    return None


def status(name: str, *, follow: bool, json: bool) -> None:
    """One job, and its trials; with `follow`, as they change, until the job ends."""
    _refuse_json_of_what_changes(follow, json)
    with job_service(Settings.read()) as jobs:
        if follow:
            return watch(lambda: _status(jobs, name))
        job, progress, trials = jobs.job(name), jobs.progress(name), jobs.trials(name)
    if json:
        return show({"job": job, "progress": progress, "trials": trials})
    typer.echo(job_text.status(job, progress, trials))
    return None


def _status(jobs: Jobs, name: str) -> tuple[list[str], bool]:
    job = jobs.job(name)  # looked at first: what its trials came to is told by its end
    text = job_text.status(job, jobs.progress(name), jobs.trials(name))
    return text.splitlines(), job["state"] in ENDED


def _refuse_json_of_what_changes(follow: bool, json: bool) -> None:
    if follow and json:
        raise SettingError("--watch: is for people; a program asks again, or reads /v1/jobs/NAME/events")


def logs(name: str, *, follow: bool, json: bool) -> None:
    """What a job wrote; with `follow`, until it ends. Raises JobFailed where it did not succeed then."""
    with job_service(Settings.read()) as jobs:
        job = jobs.job(name)
        if follow:
            return _follow(jobs, job, json=json)
        log = b"".join(jobs.log(name, False, 0))
    if json:
        return show({"job": job, "log": log.decode(errors="replace")})
    typer.echo(log, nl=False)
    return None


def say(word: Word, name: str, *, json: bool) -> None:
    """Cancel or pause."""
    with job_service(Settings.read()) as jobs:
        job = jobs.say(word, name)
    _tell(job, job_text.row(job), json=json)


def resume(name: str, budget: dict[str, float | None], *, json: bool) -> None:
    """Let a job go on that is paused or has ended, with more in all where more is asked for."""
    limits = _given(budget)
    with job_service(Settings.read()) as jobs:
        job = jobs.resume(name, limits)
    _tell(job, job_text.row(job), json=json)


def change(name: str, priority: int | None, budget: dict[str, float | None], *, json: bool) -> None:
    """Change a job's priority or budget, whichever is given."""
    limits = _given(budget)
    changes = ({} if priority is None else {"priority": priority}) | ({"budget": limits} if limits else {})
    if not changes:
        raise SettingError("set: say what changes: --priority, --hours, --gpu-hours or --trials")
    with job_service(Settings.read()) as jobs:
        job = jobs.change(name, changes)
    _tell(job, job_text.changed(job, limits), json=json)


def _given(budget: dict[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in budget.items() if value is not None}


def cancel_trial(name: str, number: int, *, json: bool) -> None:
    """End one trial of a job."""
    with job_service(Settings.read()) as jobs:
        trial = jobs.cancel_trial(name, number)
    _tell(trial, job_text.trial(trial).strip(), json=json)


def _tell(told: Json, line: str, *, json: bool) -> None:
    """For a program as it was told, for a person in a line."""
    if json:
        show(told)
    else:
        typer.echo(line)


def _plan(jobs: Jobs, spec: Json, settings: Settings, planning: Planning, *, json: bool) -> None:
    where = f" at {settings.address}" if settings.address else " on the cluster" if settings.ray_address else ""
    word = f"probing{where}: a few real steps, a minute at most (--no-probe leaves it out) ..."
    with said_if_slow(word) if planning.probed else nullcontext():
        plan = jobs.plan(spec, planning.probed)
    if json:
        show(plan)
    else:
        typer.echo(job_text.plan(plan))
    if plan["refusals"] and not planning.forced:
        raise SettingError("\n".join([*plan["refusals"], "--force takes it all the same"]))


def _follow(jobs: Jobs, job: Json, *, json: bool) -> None:
    """The job's log as it is written, then its end. Ctrl-C leaves the job alone."""
    typer.echo(f"following {job['name']}; Ctrl-C leaves it running", err=True)
    try:
        ended = _until_its_end(jobs, job["id"], quiet=json)
    except KeyboardInterrupt:
        typer.echo(f"\njob {job['name']} lives on: fusegpt status {job['name']}", err=True)
        raise typer.Exit(130) from None
    if json:
        show(ended)
    elif ended["state"] == "succeeded":
        typer.echo(job_text.row(ended))
    if ended["state"] != "succeeded":
        raise JobFailed(f"job {ended['name']} {ended['state']}: {ended['reason'] or 'no reason was given'}")


def _until_its_end(jobs: Jobs, name: str, *, quiet: bool) -> Json:
    """The job as it ended. Its log goes to stdout, or to stderr where stdout is for JSON (`quiet`).

    Raises ClusterUnreachable where the server is away for longer than our patience.
    """
    shown, heard = 0, time.monotonic()
    while True:
        try:
            for chunk in jobs.log(name, True, shown):
                typer.echo(chunk, nl=False, err=quiet)
                shown, heard = shown + len(chunk), time.monotonic()
            if (job := jobs.job(name))["state"] in ENDED:
                return job
            heard = time.monotonic()
        except ClusterUnreachable:
            if time.monotonic() - heard > PATIENCE_S:
                raise
        time.sleep(AGAIN_S)
