"""A new champion is taken over in place; a bad one changes nothing but what is told of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_model import Arrays, Shelf, TinyPredictor

from service.endpoint.champion import Predictor
from service.endpoint.config import EndpointConfig
from service.endpoint.watcher import Watcher


class Wordy(TinyPredictor):
    """Answers more than its signature says."""

    def predict(self, inputs: object) -> list[Arrays]:
        return [{**answer, "more": np.zeros(1)} for answer in super().predict(inputs)]  # type: ignore[arg-type]


def load(folder: Path) -> Predictor:
    """Folder 1 and 2 are good; 13 does not load, 14 answers NaN, 15 answers too much, 16 is out of memory."""
    if folder.name == "13":
        raise FileNotFoundError("model.safetensors is missing")
    if folder.name == "16":
        raise MemoryError("no room")
    return {"14": TinyPredictor(float("nan")), "15": Wordy()}.get(folder.name, TinyPredictor(float(folder.name)))


class Clock:
    """What the watcher takes for the time: it goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("service.endpoint.watcher.time", clock)
    return clock


@pytest.fixture
def watcher(shelf: Shelf, clock: Clock) -> Watcher:
    del clock
    return Watcher("tiny", shelf, EndpointConfig(retry_refused_s=30), load)


def serving(watcher: Watcher) -> int:
    assert watcher.served is not None
    return watcher.served.version


def test_a_new_champion_takes_over(watcher: Watcher, shelf: Shelf) -> None:
    watcher.poll()
    assert serving(watcher) == 1
    shelf.number = 2
    watcher.poll()
    assert serving(watcher) == 2


def test_a_champion_that_answers_already_is_not_loaded_again(watcher: Watcher, shelf: Shelf) -> None:
    for _ in range(5):
        watcher.poll()
    assert shelf.fetched == [1]


def test_threads_that_poll_at_once_load_a_champion_once(shelf: Shelf) -> None:
    def slowly(folder: Path) -> Predictor:
        time.sleep(0.1)
        return load(folder)

    watcher = Watcher("tiny", shelf, EndpointConfig(), slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: watcher.poll(), range(4)))
    assert (serving(watcher), shelf.fetched) == (1, [1])


@pytest.mark.parametrize(
    ("version", "reason"), [(13, "safetensors is missing"), (14, "not finite"), (15, "more"), (16, "no room")]
)
def test_a_bad_version_is_refused_with_its_reason_and_the_old_one_goes_on(
    watcher: Watcher, shelf: Shelf, version: int, reason: str
) -> None:
    watcher.poll()
    shelf.number = version
    watcher.poll()
    assert serving(watcher) == 1
    assert watcher.refused is not None
    assert watcher.refused.version == version
    assert reason in watcher.refused.reason


def test_a_refused_version_is_tried_again_after_ever_longer_pauses(
    watcher: Watcher, shelf: Shelf, clock: Clock
) -> None:
    shelf.number = 13
    for attempts, pause_s in enumerate((30, 60, 120), start=1):
        for _ in range(5):
            watcher.poll()
        assert shelf.fetched == [13] * attempts
        assert watcher.refused is not None
        assert (watcher.refused.attempts, watcher.refused.retry_at - clock.now) == (attempts, pause_s)
        clock.now += pause_s - 1
        watcher.poll()
        assert shelf.fetched == [13] * attempts
        clock.now += 1


def test_a_good_version_after_a_refused_one_is_taken_at_once(watcher: Watcher, shelf: Shelf) -> None:
    shelf.number = 13
    watcher.poll()
    assert "version 13 of tiny was refused" in watcher.waiting_for
    shelf.number = 2
    watcher.poll()
    assert serving(watcher) == 2
    assert watcher.refused is None


def test_a_rolled_back_alias_forgets_what_was_refused(watcher: Watcher, shelf: Shelf) -> None:
    watcher.poll()
    shelf.number = 13
    watcher.poll()
    shelf.number = 1
    watcher.poll()
    assert (serving(watcher), watcher.refused) == (1, None)


def test_a_registry_that_is_down_changes_nothing_and_is_told(watcher: Watcher, shelf: Shelf) -> None:
    shelf.down = True
    watcher.poll()
    assert "registry does not answer" in watcher.waiting_for
    shelf.down = False
    watcher.poll()
    shelf.down = True
    watcher.poll()
    assert serving(watcher) == 1
    assert "no registry" in watcher.trouble


def test_a_new_version_is_tried_with_batches_of_every_size_before_it_answers() -> None:
    predictor = TinyPredictor()
    Watcher("tiny", Shelf(), EndpointConfig(max_batch_size=5), lambda _: predictor).poll()
    assert predictor.batches == [1, 2, 3, 4, 5]


def test_an_alias_that_was_taken_away_leaves_the_last_champion(watcher: Watcher, shelf: Shelf) -> None:
    watcher.poll()
    shelf.number = None
    watcher.poll()
    assert serving(watcher) == 1


def test_a_fresh_replica_serves_the_champion_before_where_the_present_one_is_bad(
    watcher: Watcher, shelf: Shelf
) -> None:
    shelf.promote(13)
    watcher.poll()
    assert serving(watcher) == 1
    assert watcher.refused is not None
    assert watcher.refused.version == 13


def test_a_champion_that_never_loads_is_withdrawn_after_its_attempts(
    watcher: Watcher, shelf: Shelf, clock: Clock
) -> None:
    watcher.poll()
    shelf.promote(13)
    for _ in range(12):
        watcher.poll()
        clock.now += 60
    assert (serving(watcher), shelf.number, watcher.refused) == (1, 1, None)
    assert shelf.fetched.count(13) == 3
    assert "it could not be loaded 3 times: FileNotFoundError" in shelf.withdrawn[13]


def test_the_champion_before_stays_loaded_for_the_way_back_and_what_was_rolled_back_is_let_go(
    watcher: Watcher, shelf: Shelf
) -> None:
    watcher.poll()
    shelf.promote(2)
    watcher.poll()
    assert [served.version for served in watcher.lineup.loaded] == [2, 1]
    shelf.number, shelf.former = 1, None
    watcher.poll()
    assert [served.version for served in watcher.lineup.loaded] == [1]
    assert shelf.fetched == [1, 2]


def test_the_first_champion_is_never_withdrawn(watcher: Watcher) -> None:
    watcher.poll()
    assert not watcher.withdraw(1, "slow")
    assert serving(watcher) == 1


def test_where_two_were_promoted_within_one_poll_the_way_back_is_ready_with_the_second(
    watcher: Watcher, shelf: Shelf
) -> None:
    watcher.poll()
    shelf.promote(2)
    shelf.promote(3)
    watcher.poll()
    line = watcher.lineup
    assert (line.champion and line.champion.version, line.former and line.former.version) == (3, 2)
    assert watcher.withdraw(3, "NaN")
    assert serving(watcher) == 2


def test_a_fresh_replica_makes_the_way_back_ready_and_says_nothing_of_one_that_does_not_load(
    watcher: Watcher, shelf: Shelf, clock: Clock
) -> None:
    shelf.number, shelf.former = 2, 1
    watcher.poll()
    assert [served.version for served in watcher.lineup.loaded] == [2, 1]
    shelf.number, shelf.former = 3, 13
    for _ in range(5):
        watcher.poll()
        clock.now += 600
    assert shelf.fetched.count(13) == 5
    assert (serving(watcher), watcher.refused, shelf.withdrawn) == (3, None, {})
