"""`Progress`: an observer that shows a search as it runs: a live table, one line an event, or JSON lines."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Protocol, TextIO

from service.cluster.record import read_spent, read_trials
from service.events import Search, Trial
from service.progress.board import STATES, Board, best_line, drawn, duration, figure
from service.progress.record import search_json, trial_json

log = logging.getLogger("fusegpt.progress")


class View(Protocol):
    """A way to show a search. `event` is the observer's method; `trial` is None for the search's own events."""

    def show(self, event: str, board: Board, trial: Trial | None) -> None: ...


class Progress:
    """Implements service.events.Observer. A terminal that goes away ends the showing, not the search."""

    def __init__(self, view: View) -> None:
        self._view: View | None = view
        self._board: Board | None = None

    @classmethod
    def on_terminal(cls, *, json: bool = False, environment: Mapping[str, str] = os.environ) -> Progress:
        """The view that suits: a live table on a terminal, else lines. `json` goes to stderr: stdout has the result."""
        if json:
            return cls(JsonLines(sys.stderr))
        if sys.stdout.isatty() and not environment.get("CI") and not environment.get("NO_COLOR"):
            from service.progress.table import LiveTable

            return cls(LiveTable())
        return cls(Lines(sys.stdout))

    def search_started(self, search: Search) -> None:
        self._board = _board(search)
        self._show("search_started", [], None)

    def trial_started(self, trial: Trial) -> None:
        self._show("trial_started", [trial], trial)

    def trial_reported(self, trial: Trial) -> None:
        self._show("trial_reported", [trial], trial)

    def trial_ended(self, trial: Trial) -> None:
        self._show("trial_ended", [trial], trial)

    def search_ended(self, search: Search, trials: list[Trial]) -> None:
        self._board = self._board or Board(search)
        self._show("search_ended", trials, None)

    def _show(self, event: str, trials: list[Trial], trial: Trial | None) -> None:
        if self._board is None or self._view is None:
            return
        try:
            self._board.put(trials)
            self._view.show(event, self._board, trial)
        except Exception as error:
            log.warning("progress is shown no longer: %s: %s", type(error).__name__, error)
            self._view = None


def _board(search: Search) -> Board:
    """With what its records tell of before: a search may have been taken up again."""
    try:
        past = [record.trial(search) for record in read_trials(search)]
        return Board(search, past=past, spent_s=read_spent(search.folder).seconds)
    except ValueError as error:
        log.warning("progress is shown without what was before: %s", error)
        return Board(search)


class Lines:
    """One plain line an event: for logs, pipes and CI."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: str, board: Board, trial: Trial | None) -> None:
        text = {
            "search_started": lambda: _search_line(board),
            "trial_started": lambda: f"trial {_number(trial)} started: {drawn(trial.drawn) if trial else ''}",
            "trial_reported": lambda: _report_line(board, trial),
            "trial_ended": lambda: _end_line(trial),
            "search_ended": lambda: f"{board.search.name}: {board.counts()}; {best_line(board)}",
        }[event]()
        self._stream.write(f"[{duration(board.seconds):>12}] {text}\n")
        self._stream.flush()


class JsonLines:
    """One JSON object an event: for programs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: str, board: Board, trial: Trial | None) -> None:
        about = {"trial": trial_json(trial)} if trial else search_json(board.search)
        best, eta = board.best, board.eta_s()
        state = {"best_trial": best and best.number, "eta_s": eta and round(eta, 1)}
        record = {"event": event, "seconds": round(board.seconds, 3), **about, **state}
        self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        self._stream.flush()


def _search_line(board: Board) -> str:
    search, experiment = board.search, board.search.experiment
    return (
        f"{search.name}: {experiment.search.trials} trials of {experiment.name}, {experiment.training.epochs} epochs, "
        f"by {experiment.search.algorithm}, judged by {search.metric} ({search.mode})"
    )


def _report_line(board: Board, trial: Trial | None) -> str:
    value = trial.metrics.get(board.search.metric) if trial else None
    epoch = trial.epoch if trial else 0
    return (
        f"trial {_number(trial)} epoch {epoch}/{board.epochs}: {board.search.metric} {figure(value)}; "
        f"{best_line(board)}, {duration(board.eta_s())} left"
    )


def _end_line(trial: Trial | None) -> str:
    if trial is None:
        return ""
    cause = f": {trial.error}" if trial.error else ""
    best = f", best {figure(trial.best)}" if trial.best is not None else ""
    ended = f"{STATES[trial.state]} at epoch {trial.epoch} after {duration(trial.seconds)}"
    return f"trial {trial.number} {ended}{best}{cause}"


def _number(trial: Trial | None) -> str:
    return str(trial.number) if trial else ""
