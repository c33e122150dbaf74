"""The `fusegpt` command: its verbs, options and exit codes. Imports nothing heavy until a verb needs it.

Exit codes: 0 ok, 1 the job failed, 2 bad spec or usage, 3 not found, 4 refused by a gate or a conflict,
5 cluster unreachable, 130 interrupted. Jobs are those of the API that FUSEGPT_ADDRESS names, or else of this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service.data_verbs import data_app
from service.options import (
    Assignments,
    DryRun,
    Force,
    Job,
    JobName,
    Json,
    Name,
    NoProbe,
    RunName,
    Source,
    Watch,
    complete_jobs,
    complete_names,
    complete_trials,
)

app = typer.Typer(
    name="fusegpt",
    help="Train, tune, track, promote and serve camera + LiDAR fusion transformers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


Smoke = Annotated[
    bool, typer.Option("--smoke", help="Small settings, the experiment's own: minutes that show that all of it works.")
]


def _assigned(job: str, assignments: list[str] | None, data: str, smoke: bool) -> list[str]:
    """What --set says, over the experiment's own small settings in a smoke run."""
    if not smoke:
        return assignments or []
    from service.commands.job import smoke_of

    return [*smoke_of(job, data), *(assignments or [])]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    address: Annotated[
        str, typer.Option(metavar="URL", help="The job API to ask, in place of FUSEGPT_ADDRESS, e.g. http://head:8701.")
    ] = "",
) -> None:
    if address:
        import os

        os.environ["FUSEGPT_ADDRESS"] = address
    if version:
        from fusegpt import __version__

        typer.echo(f"fusegpt {__version__}")
        raise typer.Exit


@app.command(epilog="Example: fusegpt train fusion_waypoints --set training.epochs=3")
def train(
    job: Job,
    set_: Assignments = None,
    data: Source = "",
    name: RunName = "",
    smoke: Smoke = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Train one model with the experiment's settings, track it and register it."""
    from service.commands import search

    search.train(job, _assigned(job, set_, data, smoke), data, name=name, dry_run=dry_run, json=json)


@app.command(epilog="Example: fusegpt tune fusion_waypoints --trials 16 --data kitti:/data/kitti")
def tune(
    job: Annotated[str, typer.Argument(metavar="[SPEC|EXPERIMENT]", help="What to tune; not with --resume.")] = "",
    set_: Assignments = None,
    data: Source = "",
    trials: Annotated[int, typer.Option(help="How many trials, in all; the spec's number when left out.")] = 0,
    hours: Annotated[float, typer.Option(help="The search's budget in hours, in all; the spec's when left out.")] = 0.0,
    algorithm: Annotated[
        str, typer.Option(help="random, grid, asha, tpe, bohb or pbt; the spec's when left out.")
    ] = "",
    name: RunName = "",
    resume: Annotated[str, typer.Option(metavar="NAME", help="Go on with an interrupted search, or extend one.")] = "",
    promote: Annotated[bool, typer.Option(help="Make the best trial champion if it beats the present one.")] = True,
    smoke: Smoke = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Search the experiment's space, track every trial, register the best, promote it if it is better."""
    from service.commands import search

    extra = [f"search.algorithm={algorithm}"] * bool(algorithm)
    search.tune(
        job, [*_assigned(job, set_, data, smoke), *extra], data, name=name, resume=resume, trials=trials, hours=hours,
        promote=promote, dry_run=dry_run, json=json,
    )  # fmt: skip


@app.command(epilog="Example: fusegpt submit fusion_waypoints --set search.trials=16 --follow")
def submit(
    job: Job,
    set_: Assignments = None,
    data: Source = "",
    name: RunName = "",
    priority: Annotated[int, typer.Option(help="Higher starts first, -1000 to 1000.")] = 0,
    smoke: Smoke = False,
    dry_run: DryRun = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Queue it at once: no plan, nothing measured, nothing refused.")
    ] = False,
    no_probe: NoProbe = False,
    force: Force = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Watch it to its end; Ctrl-C leaves it running.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the plan and queue a job: a search that outlives this command, here or at the API of FUSEGPT_ADDRESS."""
    from service.commands import jobs as command
    from service.commands.job import Asked

    planning = command.Planning(shown=not quiet, probed=not no_probe, forced=force)
    asked = Asked(job, _assigned(job, set_, data, smoke), data, name)
    command.submit(asked, priority=priority, planning=planning, dry_run=dry_run, follow=follow, json=json)


@app.command(epilog="Example: fusegpt plan fusion_waypoints --data kitti:/data/kitti")
def plan(
    job: Job,
    set_: Assignments = None,
    data: Source = "",
    no_probe: NoProbe = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Say what a spec would run and take (trials, models, memory, time); refuse what cannot fit."""
    from service.commands import jobs as command
    from service.commands.job import Asked

    planning = command.Planning(probed=not no_probe, forced=force)
    command.plan(Asked(job, set_ or [], data), planning=planning, json=json)


@app.command(epilog="Example: fusegpt jobs fusion_waypoints --limit 10")
def jobs(
    experiment: Annotated[str, typer.Argument(metavar="[EXPERIMENT]", help="Only this experiment's.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 50,
    watch: Watch = False,
    json: Json = False,
) -> None:
    """List the jobs, newest first: how each stands, why it waits, what it came to."""
    from service.commands import jobs as command

    command.list_(experiment, limit, follow=watch, json=json)


@app.command(epilog="Example: fusegpt status night --watch")
def status(job: JobName, watch: Watch = False, json: Json = False) -> None:
    """Show a job: its state and why, its trials, its best so far."""
    from service.commands import jobs as command

    command.status(job, follow=watch, json=json)


@app.command(epilog="Example: fusegpt logs -f night")
def logs(
    job: JobName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends, with its exit code.")] = False,
    json: Json = False,
) -> None:
    """Print what a job wrote."""
    from service.commands import jobs as command

    command.logs(job, follow=follow, json=json)


@app.command(epilog="Example: fusegpt cancel night --trial 3")
def cancel(
    job: JobName,
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Only the trial of this number; the job goes on.",
            show_default=False,
            autocompletion=complete_trials,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Stop a job, or one trial of it; what it came to is kept."""
    from service.commands import jobs as command

    if trial is None:
        command.say("cancel", job, json=json)
    else:
        command.cancel_trial(job, trial, json=json)


@app.command("set", epilog="Example: fusegpt set night --priority 5 --hours 2")
def change(
    job: JobName,
    priority: Annotated[int | None, typer.Option(help="Higher starts first, -1000 to 1000.")] = None,
    hours: Annotated[float | None, typer.Option(help="Wall-clock hours of the search; 0 sets no limit.")] = None,
    gpu_hours: Annotated[float | None, typer.Option(help="Hours of reserved GPUs; 0 sets no limit.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials in all.")] = None,
    json: Json = False,
) -> None:
    """Change a job's priority, or the budget of one that waits or is paused."""
    from service.commands import jobs as command

    command.change(job, priority, {"hours": hours, "gpu_hours": gpu_hours, "trials": trials}, json=json)


@app.command(epilog="Example: fusegpt pause night")
def pause(job: JobName, json: Json = False) -> None:
    """Let a job rest: it gives back what it holds, and keeps its place in every trial."""
    from service.commands import jobs as command

    command.say("pause", job, json=json)


@app.command(epilog="Example: fusegpt resume night --trials 48 --hours 12")
def resume(
    job: JobName,
    trials: Annotated[int | None, typer.Option(help="How many trials in all; more than it had.")] = None,
    hours: Annotated[float | None, typer.Option(help="Wall-clock hours in all; 0 sets no limit.")] = None,
    gpu_hours: Annotated[float | None, typer.Option(help="Hours of reserved GPUs in all; 0 sets no limit.")] = None,
    json: Json = False,
) -> None:
    """Let a job go on from its checkpoints that is paused or has ended; one that succeeded, with more than it had."""
    from service.commands import jobs as command

    command.resume(job, {"trials": trials, "hours": hours, "gpu_hours": gpu_hours}, json=json)


@app.command(epilog="Example: fusegpt compare night-1 night-2 night-2/trial_00003")
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME[/TRIAL]...",
            help="A job or a search stands for its best trial.",
            autocompletion=complete_names,
        ),
    ],
    json: Json = False,
) -> None:
    """Put jobs, searches or trials side by side: the settings that differ, and their figures."""
    from service.commands import compare as command

    command.compare(names, json=json)


@app.command(epilog="Example: fusegpt ls fusion_waypoints")
def ls(
    experiment: Annotated[str, typer.Argument(metavar="[EXPERIMENT]", help="Only this experiment's.")] = "",
    watch: Watch = False,
    json: Json = False,
) -> None:
    """List the searches, newest first, with their best so far and the champion."""
    from service.commands import browse

    browse.ls(experiment, follow=watch, json=json)


@app.command(epilog="Example: fusegpt best night")
def best(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A search or an experiment.")],
    pareto: Annotated[
        bool, typer.Option("--pareto", help="All trials of a search that none beats in each of its objectives.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the best trial of a search (or of all searches of an experiment) and its settings."""
    from service.commands import browse

    (browse.pareto if pareto else browse.best)(name, json=json)


@app.command(epilog="Example: fusegpt promote fusion_waypoints 7 --canary 0.1")
def promote(
    name: Name,
    version: Annotated[int, typer.Argument(metavar="[VERSION]", help="The newest when left out.", min=0)] = 0,
    canary: Annotated[
        float, typer.Option(metavar="SHARE", help="Let it answer this share of the requests first.", min=0, max=0.99)
    ] = 0.0,
    shadow: Annotated[bool, typer.Option("--shadow", help="Let it see copies of the requests first.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the gate, e.g. gate.latency_ratio=2. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Promote even where the gate says no; recorded as forced.")] = False,
    json: Json = False,
) -> None:
    """Make a registered version the champion, if it passes the gate beside the present one."""
    from service.commands import models

    models.promote(name, version, canary=canary, shadow=shadow, gate=set_ or [], force=force, json=json)


@app.command(epilog="Example: fusegpt rollback fusion_waypoints")
def rollback(name: Name, json: Json = False) -> None:
    """End a canary or a shadow; where there is none, give the alias `champion` back to the version before."""
    from service.commands import models

    models.rollback(name, json=json)


@app.command(epilog="Example: fusegpt reproduce night 3")
def reproduce(
    search: Annotated[
        str, typer.Argument(metavar="SEARCH", help="A search of this machine.", autocompletion=complete_jobs)
    ],
    trial: Annotated[
        str, typer.Argument(metavar="TRIAL", help="The trial's number or its name.", autocompletion=complete_trials)
    ],
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far off the number may be, as a share of it.", show_default=True)
    ] = 0.001,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also on data that is known to be other data.")] = False,
    json: Json = False,
) -> None:
    """Run one trial again, by its settings, seed and data: does its number come back? Exit code 1 where it does not."""
    from service.commands import reproduce as command

    command.reproduce(search, trial, tolerance=tolerance, anyway=anyway, json=json)


@app.command(epilog="Example: fusegpt serve fusion_waypoints --port 8700")
def serve(
    name: Name,
    host: Annotated[str, typer.Option(help="Interface; FUSEGPT_HOST or 127.0.0.1 when left out.")] = "",
    port: Annotated[int, typer.Option(help="Port; FUSEGPT_PORT or 8700 when left out, 0 takes a free one.")] = -1,
    grpc_port: Annotated[
        int, typer.Option(help="Port for gRPC, which needs FUSEGPT_TOKENS; FUSEGPT_GRPC_PORT or none when left out.")
    ] = -1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a limit, e.g. endpoint.num_replicas=2. Repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Serve the champion until interrupted, over HTTP and, where asked, gRPC; a new champion is taken over in place."""
    from service.commands import models

    models.serve(name, host, port, grpc_port, set_ or [], json=json)


@app.command(epilog="Example: fusegpt predict --image a.png --sweep a.bin --speed 8.3 --target 19.5,1.2")
def predict(
    image: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The front camera: PNG or JPEG.")],
    sweep: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The LiDAR sweep: .bin (KITTI) or .npy.")],
    speed: Annotated[float, typer.Option(metavar="M/S", help="The ego's speed.")],
    target: Annotated[str, typer.Option(metavar="X,Y", help="The target point: metres ahead, metres to the left.")],
    url: Annotated[str, typer.Option(help="The endpoint; that of FUSEGPT_HOST and FUSEGPT_PORT when left out.")] = "",
    json: Json = False,
) -> None:
    """Ask the endpoint for waypoints and control."""
    from service.commands import models

    models.predict(image, sweep, speed, target, url, json=json)


@app.command(epilog="Example: fusegpt browse --port 5000")
def browse(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open MLflow's pages over this machine's runs, on loopback, until interrupted."""
    from service.commands import browse as command

    command.pages(port)


@app.command(epilog="Example: fusegpt api")
def api() -> None:
    """Serve the job API (submit, watch, control) at FUSEGPT_API_HOST:FUSEGPT_API_PORT until interrupted."""
    from service.api.server import serve as serving
    from service.settings import Settings

    serving(Settings.read())


@app.command(epilog="Example: fusegpt experiments --json")
def experiments(json: Json = False) -> None:
    """List the experiments and what each asks."""
    from service.commands import browse as command

    command.experiments_(json=json)


@app.command(epilog="Example: fusegpt doctor")
def doctor(json: Json = False) -> None:
    """Check this machine: packages, devices, data, tracking, cluster, disk. Exit code 1 where something fails."""
    from service.commands import doctor as command

    command.doctor(json=json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's error is one message on stderr and an exit code, never a traceback."""
    try:
        app(arguments)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        sys.exit(_told(error))


def _told(error: Exception) -> int:
    from service.errors import exit_code

    code: int | None = exit_code(error)
    if code is None:
        raise error
    typer.echo(f"error: {error}", err=True)
    return code


def show(value: Any) -> None:
    """A value on stdout, as JSON."""
    import json

    typer.echo(json.dumps(value, indent=2, default=str))
