"""The experiments: one file, one experiment, one name. `names()` lists them without importing any."""

from __future__ import annotations

import importlib
import pkgutil

from fusegpt.config import SettingError, closest
from fusegpt.experiment import Experiment


def names() -> list[str]:
    """The names of all experiments, sorted. Imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Experiment:
    """The experiment of this name. Raises SettingError for a name that is none (never imports anything else)."""
    if name not in names():
        raise SettingError(f"experiment: there is no {name!r}{closest(name, names())}; there are {', '.join(names())}")
    experiment = importlib.import_module(f"experiments.{name}").experiment
    if not isinstance(experiment, Experiment) or experiment.name != name:
        raise AssertionError(f"experiments/{name}.py must define `experiment`, an Experiment named {name!r}")
    return experiment
