"""The words to stop, as notes on disk: `stop` in a search's folder for all of its trials, `cancel` in a trial's for it.

Whoever may write there may say them, wherever the trial's process runs. Told so, a trial keeps its state and ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

STOP, CANCEL = "stop", "cancel"
ASK_SECONDS = 0.2


def told_to_stop(folder: Path, note: str = STOP) -> Callable[[], bool]:
    """Asks whether the note lies in `folder`, looking at the disk every ASK_SECONDS at most."""
    asked_s, told = 0.0, False

    def ask() -> bool:
        nonlocal asked_s, told
        if not told and time.monotonic() - asked_s > ASK_SECONDS:
            asked_s, told = time.monotonic(), (folder / note).exists()
        return told

    return ask


def cancel(trial: Path) -> None:
    """Tell the trial of this folder to end; one that has not begun never trains."""
    trial.mkdir(parents=True, exist_ok=True)
    (trial / CANCEL).touch()


def is_cancelled(trial: Path) -> bool:
    """Whether the trial of this folder was told so."""
    return (trial / CANCEL).exists()


def cancelled(search: Path) -> list[int]:
    """The numbers of the trials of a search that were told so."""
    return sorted(int(note.parent.name.removeprefix("trial_")) for note in search.glob(f"trial_*/{CANCEL}"))
