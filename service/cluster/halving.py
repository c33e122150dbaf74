"""`Halving`: stops trials for Tune where `Rungs` says so, and knows what happened before the search was taken up again.

It counts our own epochs: Tune's count of results starts anew with every process that a trial runs in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.schedulers import TrialScheduler

from service.cluster.in_order import InOrder
from service.cluster.record import TrialRecord
from service.cluster.rungs import Rungs
from service.cluster.trainable import EPOCH
from service.events import Search


class Halving(InOrder):
    """ASHA; with `bohb`, the brackets of Hyperband."""

    def __init__(
        self, search: Search, past: Sequence[TrialRecord], has_ended: Callable[[int], bool] = lambda _: False
    ) -> None:
        super().__init__(has_ended)
        self._metric, self._rungs = search.metric, rungs_of(search)
        for record in past:
            for epoch, value in sorted(record.values.items()):
                self._rungs.goes_on(record.number, epoch, value)

    def on_trial_result(self, _controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if EPOCH not in result or self._rungs.goes_on(trial.config["number"], result[EPOCH], result[self._metric]):
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)


def rungs_of(search: Search) -> Rungs:
    """The rungs of a search that stops early."""
    config, epochs = search.experiment.search, search.experiment.training.epochs
    brackets = config.algorithm == "bohb"
    return Rungs(search.mode, epochs, config.grace_epochs, config.reduction_factor, brackets, config.seed)
