"""`said_if_slow`: a word to a person who waits, where there is something to wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

AFTER_S = 1.0


@contextmanager
def said_if_slow(text: str) -> Iterator[None]:
    """Say it on standard error where what is done inside takes longer than AFTER_S."""
    timer = threading.Timer(AFTER_S, typer.echo, [text], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
