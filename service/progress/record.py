"""Searches and trials as plain JSON values; what is not finite becomes null, which every reader of JSON knows."""

from __future__ import annotations

import math
from typing import Any

from service.events import Search, Trial


def search_json(search: Search) -> dict[str, Any]:
    """A search, without its trials."""
    return {
        "search": search.name,
        "experiment": search.experiment.name,
        "metric": search.metric,
        "mode": search.mode,
        "trials": search.experiment.search.trials,
        "epochs": search.experiment.training.epochs,
        "folder": str(search.folder),
    }


def trial_json(trial: Trial) -> dict[str, Any]:
    """A trial as it stands."""
    return {
        "id": trial.id,
        "number": trial.number,
        "state": trial.state,
        "epoch": trial.epoch,
        "best": finite(trial.best),
        "metrics": {key: finite(value) for key, value in trial.metrics.items()},
        "drawn": dict(trial.drawn),
        "seconds": round(trial.seconds, 3),
        "error": trial.error,
        "folder": str(trial.folder),
    }


def finite(value: float | None) -> float | None:
    """The value, or None where it is none or not finite."""
    return value if value is not None and math.isfinite(value) else None
