"""`Running`: a training in a thread, taken one epoch at a time by whoever decides after each whether it goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from fusegpt.training.report import Report, Result

Start = Callable[[Callable[[Report], None], Callable[[], bool]], Result]


@dataclass(frozen=True)
class Ended:
    """How a training ended: by itself, because it was told to stop, or by an error."""

    error: Exception | None = None
    stopped: bool = False


class Running:
    """A training that waits after each report until the next is asked for. `start(report, should_stop)` runs it."""

    def __init__(self, start: Start) -> None:
        self._told: queue.Queue[Report | Ended] = queue.Queue()
        self._go = threading.Semaphore(0)
        self._stop = threading.Event()
        self._waits = False
        self._thread = threading.Thread(target=self._run, args=(start,), name="trial", daemon=True)
        self._thread.start()

    def next(self) -> Report | Ended:
        """Let it go on, and wait for its next epoch or its end."""
        if self._waits:
            self._go.release()
        told = self._told.get()
        self._waits = isinstance(told, Report)
        return told

    def end(self) -> None:
        """Stop it at its next step, and wait until it has kept its state and let go of what it holds."""
        self._stop.set()
        self._go.release()
        self._thread.join()

    def _run(self, start: Start) -> None:
        try:
            result = start(self._report, self._stop.is_set)
        except Exception as error:
            self._told.put(Ended(error))
        else:
            self._told.put(Ended(stopped=result.stopped))

    def _report(self, report: Report) -> None:
        if self._stop.is_set():
            return
        self._told.put(report)
        self._go.acquire()
