"""`fusegpt promote`, `rollback`, `serve` and `predict`."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import typer

import experiments
from fusegpt.config import SettingError
from service.api.wire import PromoteRequest
from service.cli import show
from service.client import Client
from service.commands.group import changed
from service.errors import NotFound, Refused
from service.registry import GateConfig, Registry, Rollout
from service.remote import HttpModels, Json
from service.settings import Settings


def promote(name: str, version: int, *, canary: float, shadow: bool, gate: list[str], force: bool, json: bool) -> None:
    """Let a version pass the gate, of the API that FUSEGPT_ADDRESS names or here. Raises Refused where it says no."""
    experiments.load(name)
    settings = Settings.read()
    asked = PromoteRequest(force=force, rollout=_rollout(canary, shadow), gate=changed(GateConfig, "gate", gate))
    decision = (_promoted_there if settings.address else _promoted_here)(settings, name, version, asked)
    if json:
        show(decision)
    if not decision["accepted"]:
        raise Refused(decision["reason"])
    if not json:
        typer.echo(decision["reason"])
        for check in decision["checks"]:
            typer.echo(f"  {'ok' if check['passed'] else 'no'}  {check['name']}: {check['told']}")


def _rollout(canary: float, shadow: bool) -> Rollout | None:
    if canary and shadow:
        raise SettingError("--canary, --shadow: a version is tried in one way at a time")
    if shadow:
        return Rollout(mode="shadow")
    return Rollout(mode="canary", share=canary) if canary else None


def _promoted_here(settings: Settings, name: str, version: int, asked: PromoteRequest) -> Json:
    registry = Registry(settings)
    newest = next((each.number for each in registry.versions(name)), 0)
    number = version or _known(newest, name)
    return asdict(registry.promote(name, number, asked.force, rollout=asked.rollout, gate=asked.gate))


def _promoted_there(settings: Settings, name: str, version: int, asked: PromoteRequest) -> Json:
    with closing(HttpModels(settings.address, settings.token)) as models:
        newest = next((int(each["version"]) for each in models.versions(name)), 0)
        return models.promote(name, version or _known(newest, name), asked.model_dump(mode="json"))


def _known(newest: int, name: str) -> int:
    if not newest:
        raise NotFound(f"{name} has no registered version; train or tune it first")
    return newest


def rollback(name: str, *, json: bool) -> None:
    """End what is tried, or give the alias back to the champion before."""
    experiments.load(name)
    settings = Settings.read()
    if settings.address:
        with closing(HttpModels(settings.address, settings.token)) as models:
            told = models.rollback(name)
        number, withdrawn = int(told["version"]), int(told["ended"])
    else:
        ended = Registry(settings).end(name)
        number, withdrawn = ended.champion.number, ended.withdrawn
    if json:
        return show({"name": name, "champion": number, "withdrawn": withdrawn})
    typer.echo(f"champion of {name}: version {number} (version {withdrawn} is out of the traffic)")
    return None


def serve(name: str, host: str, port: int, grpc_port: int, assignments: list[str], *, json: bool) -> None:
    """Serve the champion until SIGINT or SIGTERM."""
    from service.endpoint.config import EndpointConfig
    from service.endpoint.server import serve as serving

    experiments.load(name)
    config = changed(EndpointConfig, "endpoint", assignments)
    settings = Settings.read()
    changes = {
        "host": host or settings.host,
        "port": settings.port if port < 0 else port,
        "grpc_port": settings.grpc_port if grpc_port < 0 else grpc_port,
    }
    settings = Settings.model_validate({**settings.model_dump(), **changes})
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    with serving(settings, name, config) as endpoint:
        if json:
            show({"url": endpoint.url, "name": endpoint.name, **({"grpc": endpoint.grpc} if endpoint.grpc else {})})
        else:
            typer.echo(f"{name} at {endpoint.url}  (documentation at {endpoint.url}/docs; Ctrl-C ends it)")
            if endpoint.grpc:
                typer.echo(f"Open Inference Protocol over gRPC at {endpoint.grpc}")
        ended.wait()


def predict(image: Path, sweep: Path, speed: float, target: str, url: str, *, json: bool) -> None:
    """Ask the endpoint for waypoints and control."""
    settings = Settings.read()
    with Client(url or f"http://{settings.host}:{settings.port}", token=settings.token) as client:
        prediction = client.predict(image=image, sweep=sweep, speed_mps=speed, target_point=_point(target))
    if json:
        outputs = {
            key: value if isinstance(value, str) else value.tolist() for key, value in prediction.outputs.items()
        }
        return show({**outputs, "model": {"name": prediction.name, "version": prediction.version}})
    typer.echo(f"{prediction.name}, version {prediction.version}")
    for number, (x, y) in enumerate(prediction.outputs["waypoints"], 1):
        typer.echo(f"  waypoint {number}: {x:6.2f} m ahead, {y:6.2f} m to the left")
    for name in ("steer", "throttle", "brake"):
        typer.echo(f"  {name}: {float(prediction.outputs[name]):.3f}")
    return None


def _point(written: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in written.split(","))
    except ValueError:
        raise SettingError(f"--target: {written!r} is no point; write X,Y in metres, e.g. 19.5,-1.2") from None
    return x, y
