"""Where a run comes from: the code, the versions, the host. What cannot be known is left out, never an error."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import experiments

PACKAGES = ("fusegpt", "torch", "timm", "numpy", "ray", "mlflow")
LARGEST_DIFF_BYTES = 1_000_000


def provenance(commit: str = "") -> dict[str, str]:
    """Tags that say where a run comes from: MLflow's own names where it has one, else under `fusegpt.`.

    `commit`: the code's where there is no git to tell it.
    """
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "fusegpt",
        "fusegpt.host": platform.node(),
        "fusegpt.cpus": str(os.cpu_count()),
        "fusegpt.version.python": platform.python_version(),
        **_versions(),
        **(_commit() or {"mlflow.source.git.commit": commit}),
    }
    return {key: value for key, value in tags.items() if value}


def diff() -> str:
    """What the working tree has beyond its commit; cut at LARGEST_DIFF_BYTES, saying so. Empty where clean."""
    text = _git("diff", "HEAD", "--no-color", "--no-ext-diff")
    if len(text) <= LARGEST_DIFF_BYTES:
        return text
    return f"{text[:LARGEST_DIFF_BYTES]}\n[cut: the whole diff has {len(text)} characters]\n"


def _versions() -> dict[str, str]:
    known = {}
    for package in PACKAGES:
        try:
            known[f"fusegpt.version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known


def _commit() -> dict[str, str]:
    """The commit, its branch, and whether anything is changed or untracked. A remote may hold a password: left out."""
    commit = _git("rev-parse", "HEAD").strip()
    if not commit:
        return {}
    return {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git("rev-parse", "--abbrev-ref", "HEAD").strip(),
        "mlflow.source.git.dirty": "true" if _git("status", "--porcelain").strip() else "false",
    }


def _git(*arguments: str) -> str:
    """What git says of the tree that the experiments lie in; empty where there is no git, no tree, or no answer."""
    tree = str(Path(experiments.__path__[0]))
    command = ["git", "--no-optional-locks", "-C", tree, *arguments]
    try:
        run = subprocess.run(command, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.decode("utf-8", errors="replace")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
