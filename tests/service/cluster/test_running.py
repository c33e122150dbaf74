from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fusegpt.training.report import Report, Result, TrainingError
from service.cluster.running import Ended, Running


def train(report: Callable[[Report], None], should_stop: Callable[[], bool], begun: list[int]) -> Result:
    for epoch in (1, 2, 3):
        if should_stop():
            return Result({}, 0, epoch - 1, 0, Path(), stopped=True)
        begun.append(epoch)
        report(Report(epoch, 3, epoch, 3, {}, Path()))
    return Result({}, 3, 3, 3, Path(), stopped=False)


def test_an_epoch_begins_only_when_it_is_asked_for() -> None:
    begun: list[int] = []
    running = Running(lambda report, stop: train(report, stop, begun))
    for epoch in (1, 2, 3):
        told = running.next()
        time.sleep(0.05)
        assert isinstance(told, Report)
        assert told.epoch == epoch
        assert begun[-1] == epoch
    assert running.next() == Ended(stopped=False)


def test_to_end_it_is_to_wait_until_it_has_let_go() -> None:
    begun: list[int] = []
    released: list[bool] = []

    def slow_to_let_go(report: Callable[[Report], None], should_stop: Callable[[], bool]) -> Result:
        result = train(report, should_stop, begun)
        time.sleep(0.1)
        released.append(result.stopped)
        return result

    running = Running(slow_to_let_go)
    running.next()
    running.end()
    assert (begun, released) == ([1], [True])


def test_an_error_is_told_and_not_raised() -> None:
    error = TrainingError("step 3: no")

    def fail(_report: Callable[[Report], None], _should_stop: Callable[[], bool]) -> Result:
        raise error

    running = Running(fail)
    assert running.next() == Ended(error=error)
    running.end()
