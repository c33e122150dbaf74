from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fusegpt.experiment import Budget
from service.cluster.ending import Ending
from service.cluster.notes import told_to_stop
from service.cluster.record import Spent, read_spent, write_spent


def test_a_budget_that_is_spent_is_told_to_the_trials(tmp_path: Path) -> None:
    ending, told = Ending(tmp_path, Budget(hours=0.1 / 3600)), told_to_stop(tmp_path)
    assert not ending.due()
    time.sleep(0.15)
    assert ending.due()
    assert not ending.interrupted
    assert ending.reason.startswith("search.budget.hours: ")
    assert told()


def test_no_budget_never_ends(tmp_path: Path) -> None:
    assert not Ending(tmp_path, Budget()).due()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_by_word_and_a_second_one_as_ever(tmp_path: Path, number: int) -> None:
    ending, before = Ending(tmp_path, Budget()), signal.getsignal(number)
    with ending.on_signals():
        os.kill(os.getpid(), number)
        assert ending.due()
        assert ending.interrupted
        assert signal.getsignal(number) == before
    assert not ending.stop_all(), "the trials have time to keep their state"


def test_the_word_of_an_earlier_search_is_not_heard_again(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    Ending(tmp_path, Budget())
    assert not told_to_stop(tmp_path)()


def test_hours_count_on_where_an_earlier_start_left_off(tmp_path: Path) -> None:
    write_spent(tmp_path, Spent(seconds=3590.0, redrawn=4))
    ending = Ending(tmp_path, Budget(hours=1.0))
    assert not ending.due()
    assert Ending(tmp_path, Budget(hours=0.99)).due()
    ending.drawn_again()
    ending.keep()
    kept = read_spent(tmp_path)
    assert 3590.0 <= kept.seconds < 3600.0
    assert (kept.redrawn, kept.ended) == (5, "")


def test_gpu_hours_are_those_of_all_trials(tmp_path: Path) -> None:
    taken = 0.0
    ending = Ending(tmp_path, Budget(gpu_hours=2.0), lambda: taken)
    assert not ending.due()
    taken = 7200.0
    assert ending.due()
    assert ending.reason == "search.budget.gpu_hours: 2 GPU hours are spent; the best so far is kept"


def test_time_is_kept_while_the_search_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = Ending(tmp_path, Budget())
    later = time.monotonic() + 6.0
    monkeypatch.setattr("service.cluster.ending.time", SimpleNamespace(monotonic=lambda: later))
    ending.due()
    assert read_spent(tmp_path).seconds >= 6.0
