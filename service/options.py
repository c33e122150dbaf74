"""The arguments and options that several verbs of the `fusegpt` command share, and what the shell completes in them."""

from __future__ import annotations

from typing import Annotated

import typer


def complete_experiments(incomplete: str) -> list[str]:
    from service.commands import completion

    return completion.experiments(incomplete)


def complete_to_run(incomplete: str) -> list[str]:
    from service.commands import completion

    return completion.to_run(incomplete)


def complete_jobs(incomplete: str) -> list[str]:
    from service.commands import completion

    return completion.jobs(incomplete)


def complete_trials(ctx: typer.Context, incomplete: str) -> list[str]:
    from service.commands import completion

    job = ctx.params.get("job") or ctx.params.get("search") or ""
    return [number for number in completion.trials(str(job)) if number.startswith(incomplete)]


def complete_names(incomplete: str) -> list[str]:
    """Jobs; and behind a job's `/` its trials."""
    from service.commands import completion

    job, slash, trial = incomplete.partition("/")
    if not slash:
        return completion.jobs(job)
    return [f"{job}/{number}" for number in completion.trials(job) if number.startswith(trial)]


Job = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|EXPERIMENT",
        help="A spec file (.yaml, .json), a ready spec's name (fusion_ablation) or an experiment's.",
        autocompletion=complete_to_run,
    ),
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job's name or its id.", autocompletion=complete_jobs)]
Name = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="An experiment's name.", autocompletion=complete_experiments)
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. model.n_head=8. Repeatable."),
]
Source = Annotated[
    str,
    typer.Option("--data", metavar="SOURCE[:ROOT]", help="Where driving comes from, e.g. world or kitti:/data/kitti."),
]
RunName = Annotated[str, typer.Option("--name", help="Name of the run; made from the time when left out.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, not text for people.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it as it changes; Ctrl-C ends the looking.")]
NoProbe = Annotated[bool, typer.Option("--no-probe", help="Plan without measuring a few real steps first.")]
Force = Annotated[bool, typer.Option("--force", help="Go on though the plan does not fit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the spec and print what would run; start nothing.")]
