"""`Spool`: records on disk in order, and how far they have been carried on. One process owns it at a time.

A record is one line of JSON in `tracking.jsonl`; `tracking.done` holds the number of bytes that are dealt with. What a
kill leaves of the last line is cut off when the spool is opened again. Survives the death of the process, not of the
machine: lines are handed to the operating system, not forced to the disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class SpoolInUseError(RuntimeError):
    """Another process owns the spool."""


class Spool:
    """Open with `Spool(folder)`; any thread may append; one thread reads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "tracking.jsonl"
        self._mark = folder / "tracking.done"
        self._lock = threading.Lock()
        self._handle = self.file.open("ab+")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._handle.close()
            raise SpoolInUseError(f"{self.file}: is in use by another process") from None
        self._end = self._cut_torn_line()
        self._offset = min(self._read_mark(), self._end)
        self._next = self._offset

    def append(self, record: Record) -> None:
        """Add a record. Raises OSError where the disk is full, and ValueError after `close`."""
        line = (json.dumps(record) + "\n").encode()
        with self._lock:
            self._handle.seek(0, os.SEEK_END)
            self._handle.write(line)
            self._handle.flush()
            self._end += len(line)

    def peek(self) -> Record | None:
        """The first record that is not dealt with; None where there is none. A line that is no JSON is passed over."""
        with self._lock:
            self._handle.seek(self._offset)
            while self._offset < self._end:
                line = self._handle.readline()
                self._next = self._offset + len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if isinstance(record, dict):
                    return record
                self._offset = self._next
        return None

    def done(self) -> None:
        """The record that `peek` gave is dealt with."""
        with self._lock:
            self._offset = self._next
            writing = self._mark.with_name("tracking.done.writing")
            writing.write_text(str(self._offset), encoding="ascii")
            writing.replace(self._mark)

    def pending(self) -> int:
        """How many records wait."""
        with self._lock:
            self._handle.seek(self._offset)
            return self._handle.read().count(b"\n")

    def close(self) -> None:
        """Let another process have it."""
        with self._lock:
            self._handle.close()

    def _cut_torn_line(self) -> int:
        self._handle.seek(0)
        content = self._handle.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            self._handle.truncate(end)
        return end

    def _read_mark(self) -> int:
        try:
            return max(0, int(self._mark.read_text(encoding="ascii")))
        except (FileNotFoundError, ValueError):
            return 0


def in_use(folder: Path) -> bool:
    """Whether a process tracks the search in this folder right now."""
    try:
        with (folder / "tracking.jsonl").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except OSError:
        return True
