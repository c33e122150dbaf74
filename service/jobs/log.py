"""A job's log: one file below FUSEGPT_HOME that all attempts append to."""

from __future__ import annotations

from pathlib import Path

from service.jobs.job import Job
from service.settings import Settings


def log_of(settings: Settings, job: Job) -> Path:
    return settings.home / "jobs" / f"{job.id}.log"


def read_from(path: Path, offset: int, limit: int) -> bytes:
    """What is in the file from a byte on, `limit` bytes at most; empty where there is no more, or no file yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""
