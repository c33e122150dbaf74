"""`Writer`: the thread that carries records from a spool to MLflow, and waits where MLflow is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from service.tracking.spool import Record, Spool

log = logging.getLogger("fusegpt.tracking")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0


class Writer:
    """Carries records in order. `apply` raises Unavailable to be asked again later; else the record is given up."""

    def __init__(self, spool: Spool, apply: Callable[[Record], None], before: Callable[[], None] | None = None) -> None:
        self._spool, self._apply, self._before = spool, apply, before
        self._wake = threading.Condition()
        self._closing = False
        self._give_up_at = float("inf")
        self._patience_s = 0.0
        self._away = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the spool."""
        with self._wake:
            self._wake.notify()

    def close(self, wait_s: float, wait_away_s: float) -> bool:
        """Carry what is left while MLflow takes some of it every `wait_s`; `wait_away_s` where it is away already.

        Whether all is carried.
        """
        with self._wake:
            self._closing, self._patience_s = True, wait_s
            self._give_up_at = time.monotonic() + (wait_away_s if self._away else wait_s)
            self._wake.notify()
        while self._thread.is_alive() and time.monotonic() < self._give_up_at + 1.0:
            self._thread.join(0.1)
        return not self._thread.is_alive() and self._spool.peek() is None

    def _run(self) -> None:
        if self._before is not None:
            self._before()
        pause = FIRST_PAUSE_S
        while True:
            record = self._spool.peek()
            if record is None:
                if not self._wait_for_more():
                    return
            elif self._carry(record):
                self._spool.done()
                pause = FIRST_PAUSE_S
                if not self._goes_on():
                    return
            elif not self._pause(pause):
                return
            else:
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _goes_on(self) -> bool:
        """After a record was taken: whether there is time for the next one."""
        with self._wake:
            now = time.monotonic()
            late = now > self._give_up_at
            if self._closing and not late:
                self._give_up_at = now + self._patience_s
        return not late

    def _wait_for_more(self) -> bool:
        with self._wake:
            if self._closing:
                return False
            # A record appended between peek and here woke nobody; the time limit finds it.
            self._wake.wait(timeout=0.5)
        return True

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt. False where the time is over."""
        with self._wake:
            left = self._give_up_at - time.monotonic()
            if left > 0:
                self._wake.wait(timeout=min(seconds, left))
        return time.monotonic() < self._give_up_at

    def _carry(self, record: Record) -> bool:
        """Whether the record is dealt with."""
        try:
            carry(record, self._apply)
        except Unavailable as error:
            if not self._away:
                log.warning("%s; what it is to be told is kept in %s, sent when it is back", error, self._spool.file)
            self._away = True
            return False
        if self._away:
            log.warning("MLflow answers again, and is told what it missed")
        self._away = False
        return True


def carry(record: Record, apply: Callable[[Record], None]) -> None:
    """Apply a record; give up, saying so, one that MLflow will never take. Raises Unavailable where MLflow is away."""
    try:
        apply(record)
    except Unavailable:
        raise
    except Exception as error:
        log.warning("tracking: a record of kind %r was given up: %s", record.get("kind"), error)


def drain(spool: Spool, apply: Callable[[Record], None]) -> None:
    """Carry all that waits, in this thread. Raises Unavailable where MLflow is away; the rest goes on waiting."""
    while (record := spool.peek()) is not None:
        carry(record, apply)
        spool.done()


class Unavailable(Exception):
    """MLflow cannot be reached now; asking again later is right. The message says where it does not answer, and why."""
