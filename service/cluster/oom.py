"""`surviving`: whether the process before this one was ended by the kernel for want of memory, or lost otherwise.

SIGKILL leaves no word, but the kernel counts whom it kills for memory: a process keeps a note of the count while it
lives, and who takes up its work on the same machine finds the note of one that did not end by itself.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import ServiceError

LOOK_S = 1.0  # how often the count is looked at: what others were killed for before is not held against this process
ROOT = Path("/")


class OutOfMemoryError(ServiceError):
    """Memory ran out under a process of a training, and the kernel or Ray ended it. It would happen again."""


@contextmanager
def surviving(note: Path, run: str) -> Iterator[None]:
    """Keep the note of this process while inside.

    Raises OutOfMemoryError where a process of the same `run` left its note there and one was killed for memory since.
    Does nothing where the kernel's count cannot be read.
    """
    counted = oom_kills()
    if counted is None:
        yield
        return
    _look_back(note, run, counted)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(note, run, counted, ended), name="oom-note", daemon=True)
    _write(note, run, counted)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        note.unlink(missing_ok=True)


def oom_kills(root: Path = ROOT) -> tuple[str, int] | None:
    """The file that counts whom the kernel killed for memory in this process's container, and its count."""
    for file in _counters(root):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return str(file), int(value)
    return None


def _counters(root: Path) -> Iterator[Path]:
    """Where the count may be: of this process's cgroup (version 2, version 1), or of the whole machine."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            base = root / "sys/fs/cgroup" / kinds
            name = "memory.oom_control" if kinds else "memory.events"
            yield from (base / path.lstrip("/") / name, base / name)
    yield root / "proc/vmstat"


def _look_back(note: Path, run: str, counted: tuple[str, int]) -> None:
    try:
        before = json.loads(note.read_text())
    except (OSError, ValueError):
        return
    file, kills = counted
    note.unlink(missing_ok=True)
    if (before["run"], before["where"]) == (run, _where(file)) and kills > before["kills"]:
        said = f"oom_kill in {file} went from {before['kills']} to {kills}"
        raise OutOfMemoryError(f"the kernel ended the process on {socket.gethostname()} for want of memory ({said})")


def _keep(note: Path, run: str, counted: tuple[str, int], ended: threading.Event) -> None:
    while not ended.wait(LOOK_S):
        if (now := oom_kills()) is not None and now != counted:
            counted = now
            _write(note, run, counted)


def _write(note: Path, run: str, counted: tuple[str, int]) -> None:
    file, kills = counted
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_name(f".{note.name}.partial")
    partial.write_text(json.dumps({"run": run, "where": _where(file), "kills": kills}))
    partial.replace(note)


def _where(file: str) -> str:
    """This machine since it was started, and the counter: counts of others say nothing."""
    try:
        boot = (ROOT / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot} {file}"
