"""The history of a training: one line of JSON an epoch, each epoch exactly once however often it was resumed."""

from __future__ import annotations

import json
from pathlib import Path

from fusegpt.training.checkpoint import Scores
from fusegpt.training.folder import write_text


def read_history(file: Path) -> list[Scores]:
    """The epochs so far, in order. A last line that a kill cut short does not count."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    return [Scores.model_validate_json(line) for line in lines]


def append_history(file: Path, scores: Scores) -> None:
    """Add one epoch."""
    with file.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(scores.model_dump(mode="json")) + "\n")


def rewind_history(file: Path, epoch: int) -> None:
    """Forget what was written after `epoch`: those epochs will be run, and told, again."""
    rows = [row for row in read_history(file) if row.epoch <= epoch]
    if file.exists():
        write_text(file, "".join(json.dumps(row.model_dump(mode="json")) + "\n" for row in rows))
