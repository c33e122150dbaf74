"""`Ending`: when a search ends before its last trial has, and the word to its trials to stop.

Budget spent or interrupted (ctrl-C, SIGTERM): no trial begins any more, those that run find the note `stop` in the
search's folder, keep their state and end by themselves. Tune's own way is to kill after 5 s what still runs.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ray.tune import Stopper

from service.cluster.notes import STOP

PATIENCE_SECONDS = 120.0  # how long trials may take to stop, and those that wait for the cluster to be forgotten


class Ending(Stopper):  # type: ignore[misc]
    """Whether, why and since when a search is ending."""

    def __init__(self, folder: Path, hours: float) -> None:
        self._note = folder / STOP
        self._note.unlink(missing_ok=True)
        self._deadline = time.monotonic() + hours * 3600 if hours else float("inf")
        self._since = 0.0
        self.interrupted = False

    def due(self) -> bool:
        """Whether no trial may begin any more; the trials are told the first time that it is so."""
        if not self._since and (self.interrupted or time.monotonic() >= self._deadline):
            self._since = time.monotonic()
            self._note.touch()
        return bool(self._since)

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
