"""`--watch`: what a verb shows, as it changes: in place on a terminal, and only the lines that are new where piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import typer

from service.errors import ClusterUnreachable

EVERY_S = 1.0
PATIENCE_S = 60.0  # how long a server that was there may be away

# The lines as they are now, and whether they will change any more.
Look = Callable[[], tuple[list[str], bool]]


def watch(look: Look, every_s: float = EVERY_S) -> None:
    """Until nothing changes any more, or ctrl-C. Raises ClusterUnreachable where the server stays away."""
    patient = _patient(look)
    (_in_place if sys.stdout.isatty() else _line_by_line)(patient, every_s)


def _in_place(look: Look, every_s: float) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        over = False
        while not over:
            lines, over = look()
            live.update(Text("\n".join(lines)), refresh=True)
            if not over:
                time.sleep(every_s)


def _line_by_line(look: Look, every_s: float) -> None:
    shown: list[str] = []
    over = False
    while not over:
        lines, over = look()
        for line in lines:
            if line not in shown:
                typer.echo(line)
        shown = lines
        if not over:
            time.sleep(every_s)


def _patient(look: Look) -> Look:
    """Shows what there was for as long as a server that was there is away."""
    heard, last = 0.0, list[str]()

    def ask() -> tuple[list[str], bool]:
        nonlocal heard, last
        try:
            last, over = look()
        except ClusterUnreachable:
            if not heard or time.monotonic() - heard > PATIENCE_S:
                raise
            return last, False
        heard = time.monotonic()
        return last, over

    return ask
