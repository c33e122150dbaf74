"""`InOrder`: Tune's trials in the order of their draws; what the search has given up does not start again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class InOrder(FIFOScheduler):  # type: ignore[misc]
    """`has_ended` tells of a number whether its record has ended: Tune takes up every lost process again."""

    def __init__(self, has_ended: Callable[[int], bool] = lambda _: False) -> None:
        super().__init__()
        self._has_ended = has_ended

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        for trial in list(tune_controller.get_trials()):
            if trial.status == Trial.PENDING and self._has_ended(trial.config["number"]):
                tune_controller.stop_trial(trial)
        return super().choose_trial_to_run(tune_controller)
