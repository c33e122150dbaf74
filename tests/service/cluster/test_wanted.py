"""A process that is run for an answer ends when nobody waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from service.cluster.wanted import NobodyWaitsError, run_while_wanted, waiting

LISTENS = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
print(sys.stdin.read())
time.sleep({})
"""


def run(note: Path, seconds: float, **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LISTENS.format(seconds), str(note)]
    asked = {"asked": "a question", "environment": os.environ, "limit_s": 120.0, "gone": waiting, **how}
    return run_while_wanted(command, **asked)


def has_begun(note: Path) -> bool:
    return note.exists() and note.read_text() != ""


def has_ended(note: Path) -> bool:
    return not psutil.pid_exists(int(note.read_text()))


def test_it_is_asked_once_and_heard_to_its_end(tmp_path: Path) -> None:
    ended = run(tmp_path / "pid", 0.7)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a question\n", "")


def test_it_ends_with_who_asked(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(NobodyWaitsError):
        run(note, 3600, gone=lambda: has_begun(note))
    assert has_ended(note)


def test_it_ends_when_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "pid"
    clock = SimpleNamespace(monotonic=lambda: 121.0 if has_begun(note) else 0.0)
    monkeypatch.setattr("service.cluster.wanted.time", clock)
    with pytest.raises(subprocess.TimeoutExpired):
        run(note, 3600)
    assert has_ended(note)
