"""What a search shows while it runs: rows on a terminal, lines in a log, JSON for programs."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import experiments
from service.cluster.record import Spent, TrialRecord, write_spent, write_trial
from service.events import Search, Trial
from service.progress import Progress
from service.progress.board import Board, duration, short_names
from service.progress.progress import JsonLines, Lines, View
from service.progress.table import LiveTable

EXPERIMENT = experiments.load("fusion_waypoints").override({"search.trials": 4, "training.epochs": 10})


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search("night", EXPERIMENT, tmp_path / "night", "val/ade_m", "min")


def trial(number: int, *, epoch: int = 0, best: float | None = None, state: str = "running") -> Trial:
    metrics = {} if best is None else {"val/ade_m": best}
    made = Trial(f"t{number}", number, {"model.n_head": 2 * number}, Path(f"t{number}"), epoch=epoch, metrics=metrics)
    made.best, made.state = best, state  # type: ignore[assignment]
    return made


def play(view: View, search: Search) -> None:
    """Two trials: one reports and is stopped, the other fails."""
    progress = Progress(view)
    progress.search_started(search)
    good, bad = trial(0), trial(1)
    progress.trial_started(good)
    progress.trial_started(bad)
    good.epoch, good.metrics, good.best = 1, {"val/ade_m": 0.5}, 0.5
    progress.trial_reported(good)
    good.state, bad.state, bad.error = "stopped", "failed", "out of memory"
    progress.trial_ended(good)
    progress.trial_ended(bad)
    progress.search_ended(search, [good, bad])


def test_a_log_has_one_line_an_event_without_control_codes(search: Search) -> None:
    stream = io.StringIO()
    play(Lines(stream), search)
    lines = [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines[0].startswith("night: 4 trials of fusion_waypoints, 10 epochs, by asha, judged by val/ade_m (min)")
    assert lines[1] == "trial 0 started: n_head=0"
    assert lines[3].startswith("trial 0 epoch 1/10: val/ade_m 0.5; best val/ade_m 0.5 (trial 0), ")
    assert lines[4] == "trial 0 stopped early at epoch 1 after 0.0 s, best 0.5"
    assert lines[5] == "trial 1 failed at epoch 0 after 0.0 s: out of memory"
    assert lines[6] == "night: 2 of 4 trials, 1 stopped early, 1 failed; best val/ade_m 0.5 (trial 0)"
    assert "\x1b" not in stream.getvalue()


def test_programs_get_one_json_object_an_event_and_no_nan_in_it(search: Search) -> None:
    stream = io.StringIO()
    play(JsonLines(stream), search)
    progress = Progress(JsonLines(stream))
    progress.search_started(search)
    progress.trial_reported(trial(2, epoch=1, best=float("nan")))
    records = [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]
    assert [record["event"] for record in records[:4]] == [
        "search_started",
        "trial_started",
        "trial_started",
        "trial_reported",
    ]
    assert records[3]["trial"]["metrics"] == {"val/ade_m": 0.5}
    assert records[3]["best_trial"] == 0
    assert records[-1]["trial"]["metrics"] == {"val/ade_m": None}


def test_a_terminal_has_a_row_a_trial_and_the_best_marked(search: Search) -> None:
    stream = io.StringIO()
    play(LiveTable(Console(file=stream, force_terminal=True, width=140, height=30, color_system=None)), search)
    shown = stream.getvalue()
    assert "* 0" in shown
    assert "stopped early" in shown
    assert "n_head" in shown
    assert "2 of 4 trials, 1 stopped early, 1 failed · best val/ade_m 0.5 (trial 0)" in shown


def test_more_trials_than_the_screen_holds_leave_out_the_worst_that_ended(search: Search) -> None:
    stream = io.StringIO()
    view = LiveTable(Console(file=stream, force_terminal=True, width=140, height=11, color_system=None))
    trials = [trial(n, epoch=1, best=float(n), state="stopped") for n in range(1, 20)] + [trial(99, best=50.0)]
    progress = Progress(view)
    progress.search_started(search)
    progress.search_ended(search, trials)
    last = stream.getvalue()
    assert "… and 15 more trials" in last
    assert "99" in last
    assert "* 1" in last
    assert not any(line.split()[:1] == ["19"] for line in last.splitlines())
    assert any(line.split()[:1] == ["2"] for line in last.splitlines())


@pytest.mark.parametrize(
    ("json_asked", "terminal", "environment", "kind"),
    [
        (True, True, {}, "JsonLines"),
        (False, True, {}, "LiveTable"),
        (False, True, {"CI": "1"}, "Lines"),
        (False, True, {"NO_COLOR": "1"}, "Lines"),
        (False, False, {}, "Lines"),
    ],
)
def test_the_view_suits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, json_asked: bool, terminal: bool, environment: dict[str, str], kind: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    progress = Progress.on_terminal(json=json_asked, environment=environment)
    assert type(progress._view).__name__ == kind


def test_a_terminal_that_goes_away_ends_the_showing_and_not_the_search(
    search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    stream.close()
    with caplog.at_level(logging.WARNING):
        play(Lines(stream), search)
    assert len(caplog.records) == 1


def board(search: Search, *trials: Trial, seconds: float) -> Board:
    now = [0.0]
    made = Board(search, clock=lambda: now[0])
    for one in trials:
        epoch, one.epoch = one.epoch, 0
        made.put([one])
        one.epoch = epoch
    now[0] = seconds
    return made


def test_the_time_left_is_what_the_epochs_left_take_at_the_speed_so_far(search: Search) -> None:
    two = board(search, trial(0, epoch=5), trial(1, epoch=5), seconds=100.0)
    # 10 epochs took 100 s; 2 x 5 of the running ones are left and 2 x 10 of those that have not begun.
    assert two.eta_s() == pytest.approx(300.0)


def test_trials_to_come_are_expected_to_be_stopped_as_early_as_those_before(search: Search) -> None:
    early = board(search, *(trial(n, epoch=2, state="stopped") for n in range(3)), seconds=60.0)
    assert early.eta_s() == pytest.approx(20.0)


def test_a_budget_ends_the_search_and_so_the_estimate(tmp_path: Path) -> None:
    short = EXPERIMENT.override({"search.budget.hours": 0.05})
    budgeted = board(Search("n", short, tmp_path, "val/ade_m", "min"), trial(0, epoch=1), seconds=100.0)
    assert budgeted.eta_s() == pytest.approx(80.0)


def test_before_the_first_epoch_nothing_is_estimated(search: Search) -> None:
    assert board(search, trial(0), seconds=5.0).eta_s() is None


def test_epochs_that_a_resumed_trial_had_before_do_not_count_as_speed(search: Search) -> None:
    resumed = Board(search, clock=iter([0.0, 10.0, 10.0, 10.0, 10.0]).__next__)
    resumed.put([trial(0, epoch=8)])
    # Of 8 epochs one was seen, in 10 s; 2 are left here, and 3 trials of 10.
    assert resumed.eta_s() == pytest.approx(320.0)


def test_a_search_that_was_taken_up_again_counts_what_it_does_since(search: Search) -> None:
    """Of four trials two had ended, and one had five of its ten epochs, before a pause of any length."""
    for number, (state, epoch) in enumerate([("finished", 10), ("finished", 10), ("running", 5)]):
        values = dict.fromkeys(range(1, epoch + 1), 0.5)
        write_trial(search, TrialRecord(number=number, drawn={}, state=state, values=values, seconds=1e6))  # type: ignore[arg-type]
    write_spent(search.folder, Spent(seconds=3550.0))
    progress = Progress(Nothing())
    progress.search_started(search)
    board, now = progress._board, [0.0]
    assert board is not None
    board._clock, board._start = (lambda: now[0]), 0.0
    assert board.counts() == "3 of 4 trials, 1 running"
    (goes_on,) = (each for each in board.trials if each.state == "running")
    board.put([goes_on])
    assert board.eta_s() is None, "nothing was done since"
    for goes_on.epoch in (6, 7):
        board.put([goes_on])
    now[0] = 20.0
    # Two epochs in 20 s; 3 are left here, and 10 of the trial that has not begun.
    assert board.eta_s() == pytest.approx(130.0)
    board.search = replace(search, experiment=EXPERIMENT.override({"search.budget.hours": 1}))
    assert board.eta_s() == pytest.approx(30.0), "3550 s of the hour were spent before"


class Nothing:
    def show(self, event: str, board: Board, trial: Trial | None) -> None: ...


def test_a_training_that_goes_on_tells_its_last_epoch_and_that_is_no_work(search: Search) -> None:
    now, one = [0.0], trial(0)
    board = Board(search, clock=lambda: now[0])
    board.put([one])
    one.epoch, now[0] = 6, 1.0
    board.put([one])
    assert board.eta_s() is None
    one.epoch, now[0] = 7, 10.0
    board.put([one])
    assert board.eta_s() == pytest.approx(330.0), "one epoch in 10 s; 3 and 30 are left"


@given(st.lists(st.from_regex(r"[a-c](\.[a-c]){0,3}", fullmatch=True), unique=True))
def test_short_names_are_ends_of_the_keys_and_tell_them_apart(keys: list[str]) -> None:
    short = short_names(keys)
    assert len(set(short.values())) == len(keys)
    assert all(f".{key}".endswith(f".{short[key]}") for key in keys)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "-"), (4.21, "4.2 s"), (185, "3 min 05 s"), (7620, "2 h 07 min"), (59.99, "60.0 s")]
)
def test_durations_are_told_as_people_do(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
