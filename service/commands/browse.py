"""`fusegpt ls`, `best`, `experiments` and `browse`: look at what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

import experiments
from fusegpt.config import SettingError
from service.cli import show
from service.commands import job_text
from service.commands.jobs import job_service
from service.commands.watch import watch
from service.progress.board import drawn
from service.settings import Settings

LOOK_S = 3.0  # MLflow takes its time to list runs


def ls(experiment: str, *, follow: bool, json: bool) -> None:
    """The searches, newest first, of the API that FUSEGPT_ADDRESS names or of this machine; or as they change."""
    if follow and json:
        raise SettingError("--watch: is for people; a program asks again")
    with job_service(Settings.read()) as jobs:
        if follow:
            return watch(lambda: (job_text.searches(jobs.searches(experiment)).splitlines(), False), LOOK_S)
        told = jobs.searches(experiment)
    if json:
        return show(told)
    typer.echo(job_text.searches(told))
    return None


def best(name: str, *, json: bool) -> None:
    """The best trial of a search, or of all searches of an experiment."""
    with job_service(Settings.read()) as jobs:
        told = jobs.best(name)
    if json:
        return show(told)
    search, trial = told["search"], told["trial"]
    typer.echo(
        f"{trial['id']} of {search['name']}: {search['metric']} {trial['best']:.4g} "
        f"({trial['state']} at epoch {trial['epoch']})"
    )
    for key, value in sorted(trial["drawn"].items()):
        typer.echo(f"  {key:<22} {value}")
    if trial["version"] is not None:
        typer.echo(f"registered as version {trial['version']}" + (f": {trial['gate']}" if trial["gate"] else ""))
    typer.echo(f"weights: {Path(trial['folder']) / 'best'}")
    return None


def pareto(name: str, *, json: bool) -> None:
    """The trials of a search that none beats in all of its objectives, the best by the metric first."""
    with job_service(Settings.read()) as jobs:
        told = jobs.front(name)
    if json:
        return show(told)
    objectives = told["objectives"]
    typer.echo(f"{'trial':<14} {told['metric']:<14} {'  '.join(f'{each:<12}' for each in objectives)}  settings")
    for trial in told["front"]:
        costs = "  ".join(f"{trial['metrics'][each]:<12.6g}" for each in objectives)
        typer.echo(f"{trial['id']:<14} {trial['best']:<14.4g} {costs}  {drawn(trial['drawn'])}")
    return None


def experiments_(*, json: bool) -> None:
    """The experiments and what each asks."""
    found = {name: experiments.load(name).description for name in experiments.names()}
    if json:
        return show(found)
    for name, description in found.items():
        typer.echo(f"{name:<20} {description}")
    return None


def pages(port: int) -> None:
    """MLflow's pages until interrupted."""
    settings = Settings.read()
    if not settings.tracking_uri.startswith("sqlite:"):
        typer.echo(f"MLflow is at {settings.tracking_uri}")
        return
    with mlflow_pages(settings, port) as server:
        typer.echo(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
        server.wait()


def mlflow_pages(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    """MLflow's server over this machine's database, on loopback, without its job runner (which costs 1.5 GB)."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.tracking_uri, "--default-artifact-root", "mlflow-artifacts:/"]
    command += ["--artifacts-destination", (settings.home / "mlartifacts").as_uri()]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
