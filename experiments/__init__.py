"""The experiments: one file, one experiment, one name. `names()` lists them without importing any.

Beside them, in specs/, jobs that are ready to be submitted by their name; `specs()` lists those.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from fusegpt.config import SettingError, closest
from fusegpt.experiment import Experiment


def names() -> list[str]:
    """The names of all experiments, sorted. Imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def specs() -> dict[str, Path]:
    """The ready specs by name, sorted. Reads none of them."""
    found = (file for folder in __path__ for file in Path(folder).glob("specs/*.yaml"))
    return {file.stem: file for file in sorted(found)}


def load(name: str) -> Experiment:
    """The experiment of this name. Raises SettingError for a name that is none (never imports anything else)."""
    if name not in names():
        known = closest(name, [*names(), *specs()])
        raise SettingError(f"experiment: there is no {name!r}{known}; there are {', '.join(names())}")
    experiment = importlib.import_module(f"experiments.{name}").experiment
    if not isinstance(experiment, Experiment) or experiment.name != name:
        raise AssertionError(f"experiments/{name}.py must define `experiment`, an Experiment named {name!r}")
    return experiment


def smoke(name: str) -> dict[str, Any]:
    """The settings with which this experiment only shows, within minutes, that everything in it works.

    By dotted key, as the file's own `smoke` states them. Raises SettingError for a name that is none.
    """
    load(name)
    return dict(importlib.import_module(f"experiments.{name}").smoke)
