"""`Board`: a search as far as it has come, and what follows from that: the best so far, and when it will be over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from service.events import Search, Trial, best_of

STATES = {
    "running": "running",
    "finished": "finished",
    "stopped": "stopped early",
    "cancelled": "cancelled",
    "failed": "failed",
}


class Board:
    """Filled by the events of one search. `clock` gives seconds.

    `past` are its trials from before it was taken up again, `spent_s` what it has used of its budget by then.
    """

    def __init__(
        self,
        search: Search,
        clock: Callable[[], float] = time.monotonic,
        past: Iterable[Trial] = (),
        spent_s: float = 0.0,
    ) -> None:
        self.search = search
        self._trials = {trial.id: trial for trial in past}
        self._clock, self._start, self._spent_s = clock, clock(), spent_s
        # What a trial had done before this process began to watch says nothing about the speed of now.
        self._first_epochs = {trial.id: trial.epoch for trial in self._trials.values()}
        self._last_epochs = dict(self._first_epochs)

    @property
    def epochs(self) -> int:
        """How long a trial is that is not stopped."""
        return self.search.experiment.training.epochs

    @property
    def trials(self) -> list[Trial]:
        """By number."""
        return sorted(self._trials.values(), key=lambda trial: trial.number)

    @property
    def best(self) -> Trial | None:
        return best_of(self.search, self.trials)

    @property
    def seconds(self) -> float:
        """Since this process began to watch."""
        return self._clock() - self._start

    def put(self, trials: Iterable[Trial]) -> None:
        """Take trials in, or what they have become."""
        for trial in trials:
            self._trials[trial.id] = trial
            first = max(0, trial.epoch - 1) if trial.state == "running" else trial.epoch
            self._first_epochs.setdefault(trial.id, first)
            before = self._last_epochs.get(trial.id, trial.epoch)
            if trial.epoch > before + 1:  # a training that goes on tells of its last epoch first
                self._first_epochs[trial.id] += trial.epoch - before
            self._last_epochs[trial.id] = trial.epoch

    def counts(self) -> str:
        """ "16 trials, 1 running, 9 stopped early"."""
        count = Counter[str](trial.state for trial in self.trials)
        parts = [f"{count[state]} {word}" for state, word in STATES.items() if count[state] and state != "finished"]
        return ", ".join([f"{len(self.trials)} of {self.search.experiment.search.trials} trials", *parts])

    def eta_s(self) -> float | None:
        """Seconds until the search is over, if it goes on as it has; None where nothing can be said yet."""
        trials = self.trials
        done = sum(trial.epoch - self._first_epochs[trial.id] for trial in trials)
        if done <= 0 or self.seconds <= 0:
            return None
        ended = [trial.epoch for trial in trials if trial.state in ("finished", "stopped")]
        usual = sum(ended) / len(ended) if ended else float(self.epochs)
        begun = sum(max(1.0, usual - trial.epoch) for trial in trials if trial.state == "running")
        waiting = max(0, self.search.experiment.search.trials - len(trials))
        left = (begun + waiting * usual) * self.seconds / done
        budget = self.search.experiment.search.budget.hours * 3600
        return min(left, max(0.0, budget - self._spent_s - self.seconds)) if budget else left


def best_line(board: Board) -> str:
    """ "best val/ade_m 0.4123 (trial 3)"."""
    best = board.best
    return f"best {board.search.metric} {figure(best.best)} (trial {best.number})" if best else "no trial is judged yet"


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Dotted key -> the shortest end of it that no other key has: "model.n_head" -> "n_head"."""
    keys = list(dict.fromkeys(keys))
    short = {}
    for key in keys:
        parts = key.split(".")
        ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        # A whole key that is the end of another has no end of its own; it stays as it is.
        short[key] = next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in keys) == 1), key)
    return short


def figure(value: float | None) -> str:
    """Four digits, as many as anybody compares."""
    return "-" if value is None else f"{value:.4g}"


def setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def drawn(settings: Mapping[str, Any]) -> str:
    """ "n_head=2 n_embd=128", or that these are the default settings."""
    names = short_names(settings)
    return " ".join(f"{names[key]}={setting(value)}" for key, value in settings.items()) or "default settings"


def duration(seconds: float | None) -> str:
    """ "4.2 s", "3 min 05 s", "2 h 07 min"."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
