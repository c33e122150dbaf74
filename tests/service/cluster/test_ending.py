from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from fusegpt.experiment import Budget
from service.cluster.ending import PATIENCE_SECONDS, Ending
from service.cluster.notes import told_to_stop
from service.cluster.record import Spent, read_spent, write_spent


class Clock:
    """Goes as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 1000.0
        monkeypatch.setattr("service.cluster.ending.time", SimpleNamespace(monotonic=lambda: self.time))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_budget_that_is_spent_is_told_to_the_trials(tmp_path: Path, clock: Clock) -> None:
    ending, told = Ending(tmp_path, Budget(hours=2.0)), told_to_stop(tmp_path)
    clock.time += 2 * 3600 - 1
    assert not ending.due()
    clock.time += 1
    assert ending.due()
    assert not ending.interrupted
    assert ending.reason.startswith("search.budget.hours: ")
    assert told()


def test_no_budget_never_ends(tmp_path: Path) -> None:
    assert not Ending(tmp_path, Budget()).due()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_by_word_and_a_second_one_as_ever(tmp_path: Path, number: int, clock: Clock) -> None:
    ending, before = Ending(tmp_path, Budget()), signal.getsignal(number)
    with ending.on_signals():
        os.kill(os.getpid(), number)
        assert ending.due()
        assert ending.interrupted
        assert signal.getsignal(number) == before
    clock.time += PATIENCE_SECONDS
    assert not ending.stop_all(), "the trials have time to keep their state"
    clock.time += 1
    assert ending.stop_all()


def test_the_word_of_an_earlier_search_is_not_heard_again(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    Ending(tmp_path, Budget())
    assert not told_to_stop(tmp_path)()


def test_hours_count_on_where_an_earlier_start_left_off(tmp_path: Path, clock: Clock) -> None:
    write_spent(tmp_path, Spent(seconds=3590.0, redrawn=4))
    ending = Ending(tmp_path, Budget(hours=1.0))
    assert not ending.due()
    assert Ending(tmp_path, Budget(hours=0.99)).due()
    ending.drawn_again()
    clock.time += 4.0
    ending.keep()
    kept = read_spent(tmp_path)
    assert (kept.seconds, kept.redrawn, kept.ended) == (3594.0, 5, "")


def test_gpu_hours_are_those_of_all_trials(tmp_path: Path) -> None:
    taken = 0.0
    ending = Ending(tmp_path, Budget(gpu_hours=2.0), lambda: taken)
    assert not ending.due()
    taken = 7200.0
    assert ending.due()
    assert ending.reason == "search.budget.gpu_hours: 2 GPU hours are spent; the best so far is kept"


def test_time_is_kept_while_the_search_runs(tmp_path: Path, clock: Clock) -> None:
    ending = Ending(tmp_path, Budget())
    clock.time += 6.0
    ending.due()
    assert read_spent(tmp_path).seconds == 6.0
