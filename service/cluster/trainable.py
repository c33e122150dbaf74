"""`TrialActor`: a process inside Tune that runs one trial after another, and lets go of each before the next."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from fusegpt.experiment import Experiment
from fusegpt.training.folder import read_json
from fusegpt.training.report import Report, Result
from service.cluster.measured import COSTS, Measure, costs_of, hold_to_limits
from service.cluster.notes import CANCEL, told_to_stop
from service.cluster.oom import surviving
from service.cluster.record import trial_folder
from service.cluster.running import Ended, Running
from service.errors import sentence
from service.events import Search

RunTrial = Callable[[Experiment, Path, Path, Callable[[Report], None], Callable[[], bool]], Result]

PROCESS = "process.json"
# The keys of a result beside the training's figures.
EPOCH, ENDED, ERROR, TOLD_TO_STOP, PAUSED = "epoch", "ended", "error", "told_to_stop", "paused"


class TrialActor(Trainable):  # type: ignore[misc]
    """Runs trials. A training's own error is a result, not a failure: only a lost process is worth another try."""

    search: Search
    cache: Path
    run_trial: RunTrial
    measure: Measure
    run: str  # of all processes of one search: see `oom`

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a trial, or go on with it: {"number": its number, "drawn": its settings by dotted key}.

        With "until", an epoch: it then pauses there, and has let go of everything when that is told.
        """
        self._folder, self._until = trial_folder(self.search, config["number"]), config.get("until", 0)
        self._running = Running(partial(self._start, dict(config["drawn"])))

    def step(self) -> dict[str, Any]:
        """The next epoch's figures, or how the trial ended; after the last epoch both at once."""
        told = self._running.next()
        if isinstance(told, Ended):
            return self._end(told)
        if self.search.metric not in told.metrics:
            known = ", ".join(sorted(told.metrics))
            error = f"search.metric: {self.search.metric!r} is no figure of this experiment; there are {known}"
            return {"done": True, ENDED: True, ERROR: error, TOLD_TO_STOP: False}
        figures = {EPOCH: told.epoch, **told.metrics, **self._costs()}
        if told.epoch >= told.epochs:
            return {**figures, **self._end(self._rest())}
        if not 0 < self._until <= told.epoch:
            return figures
        self._running.end()
        return {"done": True, PAUSED: True, **figures}

    def _rest(self) -> Ended:
        """What follows the last epoch: its end. Workers that were replaced tell of the last epoch again."""
        while not isinstance(told := self._running.next(), Ended):
            continue
        return told

    def _end(self, told: Ended) -> dict[str, Any]:
        how = {ENDED: True, ERROR: self._explain(told.error), TOLD_TO_STOP: told.stopped}
        return {"done": True, **how, **self._costs()}

    def reset_config(self, config: dict[str, Any]) -> bool:
        """End the present trial and begin another in the same process."""
        self._running.end()
        self.setup(config)
        return True

    def cleanup(self) -> None:
        self._running.end()

    def _start(
        self, drawn: dict[str, Any], report: Callable[[Report], None], should_stop: Callable[[], bool]
    ) -> Result:
        experiment, run_trial = self.search.experiment.override(drawn), type(self).run_trial
        ending, cancelled = told_to_stop(self.search.folder), told_to_stop(self._folder, CANCEL)
        if cancelled():
            return Result({}, 0, 0, 0, self._folder / "best", stopped=True)
        if experiment.search.costs:
            hold_to_limits(experiment, costs_of(experiment, self._folder, type(self).measure))
        with surviving(self._folder / PROCESS, self.run):
            return run_trial(
                experiment, self._folder, self.cache, report, lambda: should_stop() or ending() or cancelled()
            )

    def _costs(self) -> dict[str, float]:
        """What the model costs, where the search wants to know."""
        file = self._folder / COSTS
        known: dict[str, float] = read_json(file) if self.search.experiment.search.costs and file.exists() else {}
        return known

    def _explain(self, error: Exception | None) -> str:
        """The error in one sentence; where it came from is kept in the trial's folder."""
        if error is None:
            return ""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        return sentence(error)


def trainable(search: Search, cache: Path, run_trial: RunTrial, measure: Measure) -> type[TrialActor]:
    """The class that Tune makes actors of, for one search."""

    class Bound(TrialActor):
        pass

    Bound.search, Bound.cache = search, cache
    Bound.run = secrets.token_hex(4)
    Bound.run_trial, Bound.measure = staticmethod(run_trial), staticmethod(measure)
    return Bound
