"""`Shadow`: a challenger sees copies of the requests; its answers are compared with the champion's and go to nobody.

It works in a thread of the lowest priority, and begins only while no request is being decoded or predicted. What the
queue cannot hold, and what waits too long for a quiet moment, is dropped and counted: no request waits for it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Protocol

import numpy as np

from service.endpoint.champion import Arrays, Served
from service.endpoint.proof import check_answers

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 2.0
LOOK_S = 0.002
LEAST_NICE = 19

Difference = tuple[float, float]  # mean and largest


class Counts(Protocol):
    """Where a shadow's work is counted."""

    def shadowed(self, served: Served, seconds: float, differences: dict[str, Difference]) -> None: ...

    def shadow_failed(self, served: Served) -> None: ...

    def shadow_dropped(self, served: Served) -> None: ...


@dataclass(frozen=True)
class _Copy:
    challenger: Served
    inputs: Arrays
    answer: Arrays


class Shadow:
    """Takes copies from the event loop, compares in a thread of its own."""

    def __init__(self, counts: Counts, idle: Callable[[], bool], size: int) -> None:
        self._counts, self._idle = counts, idle
        self._queue: Queue[_Copy] = Queue(size)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def offer(self, challenger: Served, inputs: Sequence[Arrays], answers: Sequence[Arrays]) -> None:
        """Copies of a request's samples and of the champion's answers. Neither waits nor raises."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
            self._thread.start()
        for sample, answer in zip(inputs, answers, strict=True):
            try:
                self._queue.put_nowait(_Copy(challenger, sample, answer))
            except Full:
                self._counts.shadow_dropped(challenger)

    def close(self) -> None:
        """End after the copy at hand."""
        self._ended.set()

    def _work(self) -> None:
        step_back()
        while not self._ended.is_set():
            try:
                copy = self._queue.get(timeout=0.2)
            except Empty:
                continue
            if self._wait_for_quiet():
                self._compare(copy)
            else:
                self._counts.shadow_dropped(copy.challenger)

    def _wait_for_quiet(self) -> bool:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not self._idle():
            if time.monotonic() > deadline or self._ended.is_set():
                return False
            time.sleep(LOOK_S)
        return True

    def _compare(self, copy: _Copy) -> None:
        served = copy.challenger
        began = time.perf_counter()
        try:
            answers = served.predictor.predict([copy.inputs])
            seconds = time.perf_counter() - began
            check_answers(answers, served.signature, 1)
            self._counts.shadowed(served, seconds, differences(answers[0], copy.answer))
        except Exception as error:
            log.warning("%s: the shadow of version %d failed: %s", served.name, served.version, error)
            self._counts.shadow_failed(served)


def differences(one: Arrays, other: Arrays) -> dict[str, Difference]:
    """Mean and largest difference of every output that both have; text differs (1) or does not (0).

    Raises ValueError where an output has another shape.
    """
    found: dict[str, Difference] = {}
    for name in sorted(set(one) & set(other)):
        a, b = one[name], other[name]
        if a.shape != b.shape:
            raise ValueError(f"{name} has shape {a.shape}, the champion's {b.shape}")
        apart = np.abs(a.astype(np.float64) - b) if a.dtype.kind in "iuf" else (a != b).astype(np.float64)
        found[name] = (float(apart.mean()), float(apart.max())) if apart.size else (0.0, 0.0)
    return found


def step_back() -> None:
    """Let this thread run when no other wants to. Linux alone has priorities by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_NICE)
