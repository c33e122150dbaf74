"""`Watcher`: turns what Tune tells into records on disk and into calls of the search's observers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from ray.tune import Callback

from fusegpt.search_config import Cost
from service.cluster.losses import RESTARTS, one_too_many
from service.cluster.notes import is_cancelled
from service.cluster.placement import NOTE, release
from service.cluster.record import TrialRecord, trial_folder, write_trial
from service.cluster.trainable import ENDED, EPOCH, ERROR, PAUSED, TOLD_TO_STOP
from service.events import Observer, Search, Trial, TrialState
from service.jobs.retry import memory_cause

COSTS: tuple[Cost, ...] = get_args(Cost)
RELEASE_SECONDS = 60.0  # how long stopped worker groups may take to let go before their reservation is taken from them


class Watcher(Callback):  # type: ignore[misc]
    """Follows one search. Numbers are ours; Tune's trials come and go under ids of their own."""

    def __init__(self, search: Search, observers: Sequence[Observer], past: Sequence[TrialRecord]) -> None:
        self._search, self._observers = search, observers
        self._records = {record.number: record for record in past}
        self._trials = {record.number: record.trial(search) for record in past}
        self._began: dict[int, float] = {}  # of those that run now: when, less what they ran before
        self._announced: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Without the observers: Tune writes its callbacks down to restore them, which we never do (see record.py)."""
        return {**self.__dict__, "_observers": ()}

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, by number."""
        return [trial for _, trial in sorted(self._trials.items())]

    @property
    def records(self) -> list[TrialRecord]:
        return [record for _, record in sorted(self._records.items())]

    def tell(self, tell: Callable[[Observer], None]) -> None:
        """Tell every observer."""
        for observer in self._observers:
            tell(observer)

    def on_trial_start(self, *, trial: Any, **_: Any) -> None:
        number = trial.config["number"]
        if number in self._began:  # a lost one that starts again
            return
        self._began[number] = time.monotonic() - (self._records[number].seconds if number in self._records else 0.0)
        if number not in self._records:
            self.keep(TrialRecord(number=number, drawn=trial.config["drawn"], state="running"))
        if number not in self._announced:  # one of a population that goes on
            self._announced.add(number)
            self.tell(lambda observer: observer.trial_started(self._trials[number]))

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        record = self._records[trial.config["number"]]
        if EPOCH not in result or result[EPOCH] in record.values:  # a training taken up again repeats its last epoch
            return
        metrics = {name: float(value) for name, value in result.items() if _is_figure(name, value)}
        values = {**record.values, result[EPOCH]: float(result[self._search.metric])}
        self.keep(record.model_copy(update={"values": values, "metrics": metrics, **self._clock(record.number)}))
        self.tell(lambda observer: observer.trial_reported(self._trials[record.number]))

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        record = self._records.get(trial.config["number"])
        if record is None or record.state != "running":
            return
        last = trial.last_result or {}
        if last.get(PAUSED):
            self.keep(record.model_copy(update=self._clock(record.number)))
            del self._began[record.number]
        elif last.get(ERROR):
            costs = {name: float(last[name]) for name in COSTS if name in last}
            self.keep(record.model_copy(update={"metrics": {**record.metrics, **costs}}))
            self.end(record.number, "failed", last[ERROR])
        elif last.get(TOLD_TO_STOP):
            if is_cancelled(trial_folder(self._search, record.number)):
                self.end(record.number, "cancelled")
            # Else the search is ending: whether this trial has ended or will go on is decided there.
        elif last.get(ENDED) or max(record.values, default=0) >= self._search.experiment.training.epochs:
            self.end(record.number, "finished")
        else:
            self.end(record.number, "stopped")

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:
        """Tune takes up again what was lost. What would be lost again has failed: for its memory, or at one place."""
        said = _said(trial)
        if cause := memory_cause(_last_failure(said)):
            self._fail(trial, cause)
        elif one_too_many(trial_folder(self._search, trial.config["number"])):
            often = f"its process died {RESTARTS + 1} times in a row with no progress"
            self._fail(trial, f"{often}; the last time: {last_cause(said)}")

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        said = _said(trial)
        cause = memory_cause(_last_failure(said))
        self._fail(trial, cause or f"its process died before it could start: {last_cause(said)}")

    def _fail(self, trial: Any, error: str) -> None:
        number = trial.config["number"]
        release(trial_folder(self._search, number))
        if number not in self._records:  # it never came so far as to start
            self.on_trial_start(trial=trial)
        self.end(number, "failed", error)

    def on_step_end(self, *, trials: list[Any], **_: Any) -> None:
        """When all trials have ended: wait until the last have let go, for Tune kills after 5 s what has not."""
        if trials and all(trial.is_finished() for trial in trials):
            self.wait_for_release()

    def has_ended(self, number: int) -> bool:
        """Whether a trial is over, so that nothing may start for it."""
        return number in self._records and self._records[number].state != "running"

    def end(self, number: int, state: TrialState, error: str = "") -> None:
        """Record that a trial has ended, and tell the observers."""
        record = self._records[number].model_copy(update={"state": state, "error": error, **self._clock(number)})
        self.keep(record)
        self.tell(lambda observer: observer.trial_ended(self._trials[number]))

    def refuse(self, number: int, drawn: dict[str, Any], why: str) -> None:
        """Record a trial that may not start."""
        self.keep(TrialRecord(number=number, drawn=drawn, state="running"))
        self.tell(lambda observer: observer.trial_started(self._trials[number]))
        self.end(number, "failed", why)

    def gpu_seconds(self) -> float:
        """Seconds of reserved GPUs that all trials have taken so far."""
        resources = self._search.experiment.resources
        taken = 0.0
        for record in self._records.values():
            now = self._clock(record.number) if record.state == "running" else {}
            taken += now.get("seconds", record.seconds)
        return taken * resources.gpus_per_worker * resources.workers_per_trial

    def wait_for_release(self) -> None:
        """Until no trial holds a worker group's reservation any more."""
        deadline = time.monotonic() + RELEASE_SECONDS
        folders = [trial_folder(self._search, number) for number in self._began]
        while any((folder / NOTE).exists() for folder in folders) and time.monotonic() < deadline:
            time.sleep(0.1)
        for folder in folders:
            release(folder)

    def _clock(self, number: int) -> dict[str, float]:
        return {"seconds": time.monotonic() - self._began[number]} if number in self._began else {}

    def keep(self, record: TrialRecord) -> None:
        """Keep a record on disk, and bring the trial that observers hold up to it."""
        self._records[record.number] = record
        write_trial(self._search, record)
        now = record.trial(self._search)
        known = self._trials.setdefault(record.number, now)
        known.__dict__.update(now.__dict__)


def last_cause(said: str) -> str:
    """The cause in the last of the failures that Tune wrote down, one after another, each with its traceback."""
    lines = [line.strip() for line in _last_failure(said).splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)(:|$)", line)]
    return (raised[-1] if raised else lines[0] if lines else "no word of why")[:500]


def _said(trial: Any) -> str:
    return Path(trial.error_file).read_text() if trial.error_file else ""


def _last_failure(said: str) -> str:
    return said.split("Failure #")[-1].partition("\n")[2]


def _is_figure(name: str, value: object) -> bool:
    """Whether it is one of the training's own figures or of its model's costs: Tune adds much beside them."""
    return ("/" in name or name in COSTS) and isinstance(value, int | float) and not isinstance(value, bool)
