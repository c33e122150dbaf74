"""`Ending`: when a search ends before its last trial has, why, and the word to its trials to stop.

Budget spent, interrupted (ctrl-C, SIGTERM), or no place for a trial on the hosts that are left: no trial begins any
more, those that run find the note `stop` in the search's folder, keep their state and end by themselves. Tune's own way
is to kill after 5 s what still runs.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ray.tune import Stopper

from fusegpt.experiment import Budget
from service.cluster.capacity import NoPlaceError
from service.cluster.notes import STOP
from service.cluster.record import Spent, read_spent, write_spent

KEEP_SECONDS = 5.0  # how much of its time a search may forget when its driver is killed
PATIENCE_SECONDS = 120.0  # how long trials may take to stop, and those that wait for the cluster to be forgotten


class Ending(Stopper):  # type: ignore[misc]
    """Whether, why and since when a search is ending."""

    def __init__(
        self,
        folder: Path,
        budget: Budget,
        gpu_seconds: Callable[[], float] = lambda: 0.0,
        outage: Callable[[], str] = lambda: "",
    ) -> None:
        """`gpu_seconds` tells what all trials have taken of GPUs so far, over all resumptions; `outage` what the
        cluster lacks for them, once it has for long."""
        self._folder, self._budget, self._gpu_seconds, self._outage = folder, budget, gpu_seconds, outage
        self._note = folder / STOP
        self._note.unlink(missing_ok=True)
        self._before = read_spent(folder)
        self._start = self._kept = time.monotonic()
        self._since = 0.0
        self._redrawn = self._before.redrawn
        self.reason, self.lack, self.interrupted = "", "", False

    @property
    def spent(self) -> Spent:
        """What the search has used up until now."""
        seconds = self._before.seconds + time.monotonic() - self._start
        return Spent(seconds=seconds, redrawn=self._redrawn, ended=self.reason)

    def due(self) -> bool:
        """Whether no trial may begin any more; the trials are told the first time that it is so."""
        if not self._since:
            self.reason = self._exhausted()
            self.lack = "" if self.reason else self._outage()
            if self.cut_short or self.reason:
                self._since = time.monotonic()
                self._note.touch()
        if time.monotonic() - self._kept > KEEP_SECONDS:
            self.keep()
        return bool(self._since)

    @property
    def cut_short(self) -> bool:
        """Whether its trials are to go on another time."""
        return self.interrupted or bool(self.lack)

    def raise_if_cut_short(self) -> None:
        """Raises KeyboardInterrupt, or NoPlaceError saying what the cluster lacks."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.lack:
            raise NoPlaceError(f"resources: {self.lack}; the trials have kept their state, and go on when it is back")

    def drawn_again(self) -> None:
        """Count a draw that had too many parameters."""
        self._redrawn += 1

    def keep(self) -> None:
        """Write down what is spent: a search that is taken up again counts on from there."""
        self._kept = time.monotonic()
        write_spent(self._folder, self.spent)

    def _exhausted(self) -> str:
        """Which limit is reached, in one sentence; empty where none is."""
        hours, gpu_hours = self._budget.hours, self._budget.gpu_hours
        if hours and self.spent.seconds >= hours * 3600:
            return f"search.budget.hours: {hours:g} h are spent; the best so far is kept"
        if gpu_hours and self._gpu_seconds() >= gpu_hours * 3600:
            return f"search.budget.gpu_hours: {gpu_hours:g} GPU hours are spent; the best so far is kept"
        return ""

    def __call__(self, *_: Any) -> bool:
        return False

    def stop_all(self) -> bool:
        """Whether patience is at an end. Tune asks at every turn of its loop."""
        return self.due() and time.monotonic() - self._since > PATIENCE_SECONDS

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM; a second one is as sudden as ever."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def interrupt(number: int, _frame: FrameType | None) -> None:
            self.interrupted = True
            signal.signal(number, before[signal.Signals(number)])

        for number in before:
            signal.signal(number, interrupt)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
