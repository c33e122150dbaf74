"""Losses of a trial's processes count only where nothing was kept in between."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from service.cluster.losses import NOTE, RESTARTS, Losses, one_too_many, read_losses

PLACES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20)


def reaches(trial: Path, epoch: int, step: int = 0) -> None:
    (trial / "checkpoint").mkdir(parents=True, exist_ok=True)
    (trial / "checkpoint" / "progress.json").write_text(json.dumps({"epoch": epoch, "step": step}))


def test_a_trial_that_gets_on_is_lost_as_often_as_it_may_be(tmp_path: Path) -> None:
    for epoch in range(1, 20):
        reaches(tmp_path, epoch)
        assert not any(one_too_many(tmp_path) for _ in range(RESTARTS))
    assert read_losses(tmp_path).in_all == 19 * RESTARTS


def test_one_that_is_lost_at_one_place_is_given_up_and_may_be_begun_anew(tmp_path: Path) -> None:
    trial = tmp_path / "never came as far as its folder"
    for _ in range(2):
        assert [one_too_many(trial) for _ in range(RESTARTS + 1)] == [*[False] * RESTARTS, True]


def test_a_checkpoint_within_an_epoch_is_progress(tmp_path: Path) -> None:
    for step in range(1, 3 * RESTARTS):
        reaches(tmp_path, 4, step)
        assert not one_too_many(tmp_path)


def test_what_cannot_be_read_is_no_progress_and_no_note(tmp_path: Path) -> None:
    reaches(tmp_path, 2)
    assert not one_too_many(tmp_path)
    (tmp_path / "checkpoint" / "progress.json").unlink()  # a replacement that was cut short
    assert not one_too_many(tmp_path)
    assert read_losses(tmp_path).in_a_row == 2
    (tmp_path / NOTE).write_text("{")
    assert read_losses(tmp_path) == Losses()


@given(PLACES)
def test_given_up_is_exactly_what_was_lost_too_often_without_passing_its_furthest_place(
    places: list[tuple[int, int]],
) -> None:
    losses = Losses()
    for epoch, step in places:
        losses = losses.another(epoch, step)
    since = 0
    for at, place in enumerate(places):
        furthest = max([(0, 0), *places[:at]])
        since = 1 if place > furthest else since + 1
    assert losses.in_a_row == since
    assert losses.too_many == (since > RESTARTS)
    assert losses.in_all == len(places)
