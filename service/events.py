"""What happens in a search, told to whoever watches: the terminal, MLflow, later the job's event log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from fusegpt.experiment import Experiment

TrialState = Literal["running", "finished", "stopped", "cancelled", "failed"]


@dataclass
class Trial:
    """One trial as far as it has come. Neither `stopped` (early) nor `cancelled` (by a person) is an error."""

    id: str
    number: int
    drawn: Mapping[str, Any]
    folder: Path
    state: TrialState = "running"
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    error: str = ""
    seconds: float = 0.0
    exchanges: list[dict[str, Any]] = field(default_factory=list)  # with pbt: epoch, source, value, drawn


@dataclass(frozen=True)
class Search:
    """One search: an experiment, under a name by which it can be resumed. A plain training is a search of one trial."""

    name: str
    experiment: Experiment
    folder: Path
    metric: str
    mode: Literal["min", "max"]


class Observer(Protocol):
    """Watches a search. Called from one thread, in order; must not raise."""

    def search_started(self, search: Search) -> None: ...

    def trial_started(self, trial: Trial) -> None: ...

    def trial_reported(self, trial: Trial) -> None: ...

    def trial_ended(self, trial: Trial) -> None: ...

    def search_ended(self, search: Search, trials: list[Trial]) -> None: ...


def best_of(search: Search, trials: list[Trial]) -> Trial | None:
    """The trial with the best value of the search's metric at its best epoch; None where none has a finite one."""
    judged = [(trial.best, trial) for trial in trials if trial.best is not None and math.isfinite(trial.best)]
    pick = min if search.mode == "min" else max
    return pick(judged, key=lambda pair: pair[0], default=(0.0, None))[1]


def front_of(search: Search, trials: list[Trial]) -> list[Trial]:
    """The trials that none beats in the metric and in every objective, the best by the metric first.

    Empty where the search has no objectives beside its metric.
    """
    from fusegpt.pareto import front

    names = search.experiment.search.objectives
    judged = [trial for trial in trials if trial.best is not None and all(name in trial.metrics for name in names)]
    if not names:
        return []
    sign = 1.0 if search.mode == "min" else -1.0
    points = [[sign * (trial.best or 0.0), *(trial.metrics[name] for name in names)] for trial in judged]
    return [judged[index] for index in sorted(front(points), key=lambda index: (points[index], judged[index].number))]


@dataclass(frozen=True)
class Baseline:
    """What a model that learnt nothing is called, and what it gets in the search's metric."""

    name: str
    value: float


def baseline_of(search: Search, trials: Iterable[Trial]) -> Baseline | None:
    """The baseline that the task judges beside its models; None where it has none, or none in the search's metric."""
    name = search.experiment.task.headline.baseline
    split, _, figure = search.metric.rpartition("/")
    key = f"{split}/{name}_{figure}"
    found = next((trial.metrics[key] for trial in trials if name and key in trial.metrics), None)
    return None if found is None else Baseline(name.replace("_", " "), found)
