"""`fusegpt ls`, `best`, `experiments` and `browse`: look at what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import typer

import experiments
from service.cli import show
from service.errors import NotFound
from service.registry import Registry
from service.settings import Settings
from service.tracking import History, SearchRow, TrialRow


def ls(experiment: str, *, json: bool) -> None:
    """The searches, newest first."""
    settings = Settings.read()
    rows = History(settings).searches(experiment or None)
    champions = {name: Registry(settings).champion(name) for name in sorted({row.experiment for row in rows})}
    if json:
        return show({"searches": [asdict(row) for row in rows], "champions": _numbers(champions)})
    if not rows:
        typer.echo("no search yet; start one with: fusegpt tune fusion_waypoints")
    for row in rows:
        best = "-" if row.best is None else f"{row.best:.4g}"
        when = f"{row.started:%Y-%m-%d %H:%M}"
        typer.echo(f"{row.name:<40} {row.state:<12} {row.trials:>3} trials  {row.metric} {best:<8} {when}")
    for name, champion in champions.items():
        typer.echo(f"champion of {name}: {f'version {champion.number}' if champion else 'none'}")
    return None


def _numbers(champions: dict[str, Any]) -> dict[str, int | None]:
    return {name: champion.number if champion else None for name, champion in champions.items()}


def best(name: str, *, json: bool) -> None:
    """The best trial of a search, or of all searches of an experiment."""
    row, trial = _best(History(Settings.read()), name)
    if json:
        return show({"search": asdict(row), "trial": asdict(trial)})
    typer.echo(f"{trial.id} of {row.name}: {row.metric} {trial.best:.4g} ({trial.state} at epoch {trial.epoch})")
    for key, value in sorted(trial.drawn.items()):
        typer.echo(f"  {key:<22} {value}")
    typer.echo(f"weights: {trial.folder / 'best'}")
    return None


def _best(history: History, name: str) -> tuple[SearchRow, TrialRow]:
    rows = history.searches(name) if name in experiments.names() else [history.find(name)]
    judged = [row for row in rows if row.best is not None]
    if not judged:
        raise NotFound(f"{name}: no trial has reported its metric yet")
    sign = 1 if judged[0].mode == "min" else -1
    row = min(judged, key=lambda row: sign * (row.best or 0.0))
    trials = [trial for trial in history.trials(row.name) if trial.best is not None]
    return row, min(trials, key=lambda trial: sign * (trial.best or 0.0))


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
