from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from service.cluster.ending import Ending
from service.cluster.notes import told_to_stop


def test_a_budget_that_is_spent_is_told_to_the_trials(tmp_path: Path) -> None:
    ending, told = Ending(tmp_path, hours=0.1 / 3600), told_to_stop(tmp_path)
    assert not ending.due()
    time.sleep(0.15)
    assert ending.due()
    assert not ending.interrupted
    assert told()


def test_no_budget_never_ends(tmp_path: Path) -> None:
    assert not Ending(tmp_path, hours=0.0).due()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_by_word_and_a_second_one_as_ever(tmp_path: Path, number: int) -> None:
    ending, before = Ending(tmp_path, hours=0.0), signal.getsignal(number)
    with ending.on_signals():
        os.kill(os.getpid(), number)
        assert ending.due()
        assert ending.interrupted
        assert signal.getsignal(number) == before
    assert not ending.stop_all(), "the trials have time to keep their state"


def test_the_word_of_an_earlier_search_is_not_heard_again(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    Ending(tmp_path, hours=0.0)
    assert not told_to_stop(tmp_path)()
