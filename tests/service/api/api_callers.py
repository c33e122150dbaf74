"""Who calls the API in these tests, and the runner behind it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from service.jobs.job import Job
from service.jobs.queue import Capacity
from service.jobs.runner import Life

As = Callable[[str], TestClient]

TOKENS = {"viewer": "v" * 32, "submitter": "s" * 32, "other": "o" * 32, "admin": "a" * 32}
ROLES = {"viewer": "viewer", "submitter": "submitter", "other": "submitter", "admin": "admin"}


class IdleRunner:
    """A runner that notes what it was to start; every process lives for ever."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.log = b""

    def capacity(self) -> Capacity:
        return Capacity(8, 1)

    def start(self, job: Job) -> None:
        self.started.append(job.name)

    def life(self, _job: Job) -> Life:
        return "alive"

    def kill(self, job: Job) -> None:
        raise AssertionError(job)

    def read_log(self, _job: Job, offset: int, limit: int = 1 << 16) -> bytes:
        return self.log[offset : offset + limit]
