"""`LiveTable`: one row a trial on a terminal, kept up to date in place; and the same table as it stands at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.events import Search, Trial
from service.progress.board import STATES, Board, best_line, duration, figure, setting, short_names

STYLES = {"running": "cyan", "finished": "", "stopped": "dim", "cancelled": "dim", "failed": "red"}
LINES_AROUND = 6  # heading, rule, foot and the prompt


class LiveTable:
    """Redraws itself a few times a second until the search ends; leaves the last table standing."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._board: Board | None = None
        self._live: Live | None = None

    def show(self, event: str, board: Board, trial: Trial | None) -> None:
        del trial
        self._board = board
        if self._live is None:
            self._live = Live(
                console=self._console, get_renderable=self._render, refresh_per_second=4, vertical_overflow="crop"
            )
            self._live.start()
        if event == "search_ended":
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        board = self._board
        if board is None:
            return ""
        room = max(3, self._console.height - LINES_AROUND)
        shown, hidden = _fitting(board, room)
        parts: list[RenderableType] = [trial_table(board.search, shown, board.best)]
        if hidden:
            parts.append(Text(f" … and {hidden} more trials", style="dim"))
        return Group(*parts, Text(f" {_foot(board)}", style="bold"))


def trial_table(search: Search, trials: Sequence[Trial], best: Trial | None = None) -> Table:
    """One row a trial, in the order given; the best is marked."""
    names = short_names(key for trial in trials for key in trial.drawn)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in ("trial", "state", "epoch", search.metric, "best"):
        table.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    for name in names.values():
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for trial in trials:
        cells = _cells(search, trial, list(names), best)
        table.add_row(*cells, style="bold green" if trial is best else STYLES[trial.state])
    return table


def _cells(search: Search, trial: Trial, keys: Sequence[str], best: Trial | None) -> Iterator[str]:
    yield f"{'* ' if trial is best else ''}{trial.number}"
    yield STATES[trial.state]
    yield f"{trial.epoch}/{search.experiment.training.epochs}"
    yield figure(trial.metrics.get(search.metric))
    yield figure(trial.best)
    defaults = search.experiment.settings()
    for key in keys:
        yield setting(trial.drawn[key]) if key in trial.drawn else setting(defaults.get(key, "-"))
    yield duration(trial.seconds)


def _fitting(board: Board, room: int) -> tuple[list[Trial], int]:
    """What fits on the screen: those that run, then the best of the others; in the order of their numbers."""
    trials = board.trials
    if len(trials) <= room:
        return trials, 0
    sign = 1.0 if board.search.mode == "min" else -1.0
    worst = float("inf")
    wanted = sorted(trials, key=lambda t: (t.state != "running", sign * t.best if t.best is not None else worst))
    return sorted(wanted[:room], key=lambda trial: trial.number), len(trials) - room


def _foot(board: Board) -> str:
    left = f", about {duration(board.eta_s())} left" if board.eta_s() is not None else ""
    return f"{board.counts()} · {best_line(board)} · {duration(board.seconds)}{left}"
