"""Replacing a whole folder so that a kill at any moment leaves a readable one.

A folder cannot be exchanged in one call everywhere, so it goes in steps, each of which `settle` can finish:

    X.writing   being written; worth nothing
    X.new       complete and newer than X
    X           the one to read
    X.old       the one before, about to go
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Make `target` what `write` leaves in the empty folder that it is given."""
    settle(target)
    writing = _beside(target, "writing")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    write(writing)
    writing.rename(_beside(target, "new"))
    settle(target)


def settle(target: Path) -> None:
    """Finish a replacement that was cut short. After it, `target` is the newest complete folder, if there is any."""
    new, old = _beside(target, "new"), _beside(target, "old")
    if new.exists():
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        new.rename(target)
    elif old.exists() and not target.exists():
        old.rename(target)
    if old.exists():
        shutil.rmtree(old, ignore_errors=True)


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    writing = file.with_name(f"{file.name}.writing")
    writing.write_text(text, encoding="utf-8")
    writing.replace(file)


def read_json(file: Path) -> Any:
    """A JSON file's content. Raises ValueError naming the file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{file}: is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: cannot be read as JSON ({error})") from None


def _beside(target: Path, word: str) -> Path:
    return target.with_name(f"{target.name}.{word}")
