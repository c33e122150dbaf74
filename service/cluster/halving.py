"""`Halving`: ASHA over our own epochs, which also knows what happened before the search was taken up again.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020. Tune's count of results starts anew
with every process that a trial runs in; an epoch does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler

from service.cluster.record import TrialRecord
from service.cluster.trainable import EPOCH
from service.events import Search


class Halving(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Stops a trial at a rung where it is not among the best 1 / reduction_factor so far."""

    def __init__(self, search: Search, past: Sequence[TrialRecord]) -> None:
        config, epochs = search.experiment.search, search.experiment.training.epochs
        super().__init__(
            time_attr=EPOCH,
            metric=search.metric,
            mode=search.mode,
            max_t=epochs,
            grace_period=min(config.grace_epochs, epochs),
            reduction_factor=config.reduction_factor,
            stop_last_trials=False,  # the last epoch ends by itself
        )
        self._name = search.metric
        self._interrupted = {record.number: record.values for record in past if record.state == "running"}
        for record in past:
            if record.state != "running":
                self._recall(SimpleNamespace(trial_id=f"past {record.number}"), record.values)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        self._replay(trial, self._interrupted.pop(trial.config["number"], {}))

    def _recall(self, trial: Any, values: Mapping[int, float]) -> None:
        super().on_trial_add(None, trial)
        self._replay(trial, values)

    def _replay(self, trial: Any, values: Mapping[int, float]) -> None:
        for epoch, value in sorted(values.items()):
            super().on_trial_result(None, trial, {EPOCH: epoch, self._name: value})
