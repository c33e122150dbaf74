"""What the tests of both modes share: a runner that starts nothing, a served API, and what a command came to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from patience import wait_for

from service.api.app import create_app
from service.cli import main
from service.jobs.job import Job
from service.jobs.queue import Capacity
from service.jobs.runner import Life
from service.jobs.store import JobStore, open_store
from service.registry import Registry
from service.settings import Settings


class FakeRunner:
    """Starts nothing: its jobs are running at once, and write what a test writes into `log`."""

    def __init__(self, settings: Settings) -> None:
        self._store = open_store(settings.store_url)
        self._log = settings.home / "log"

    def capacity(self) -> Capacity:
        return Capacity(2, 0)

    def start(self, job: Job) -> None:
        # What it searches for is in its log by the time that anybody sees it run.
        self._store.append(job.id, "search_started", {"metric": "val/ade_m", "mode": "min", "trials": 4})
        self._store.update(job, state="running")

    def life(self, _job: Job) -> Life:
        return "alive"

    def kill(self, job: Job) -> None:
        raise AssertionError(job)

    def read_log(self, _job: Job, offset: int, limit: int = 1 << 16) -> bytes:
        return self._log.read_bytes()[offset : offset + limit] if self._log.exists() else b""


@contextmanager
def served(settings: Settings, runner: FakeRunner, store: JobStore, registry: Registry | None = None) -> Iterator[str]:
    """The API on a port of this machine; its URL."""
    app = create_app(settings, store, runner, registry or Registry(settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Told:
    """What one command came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Fusegpt = Callable[..., Told]


def told_by(capfd: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """What the command came to."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capfd.readouterr()
    return Told(int(ended.value.code or 0), out, err)
