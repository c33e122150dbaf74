"""The API over parts of this process: a store in memory, a runner that starts nothing, an empty registry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.app import create_app
from service.jobs.job import Job
from service.jobs.memory import MemoryJobStore
from service.jobs.queue import Capacity
from service.jobs.runner import Life
from service.registry import Registry
from service.settings import Settings

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


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    folder = tmp_path / "drives"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path, drives: Path) -> Settings:
    tokens = tmp_path / "tokens"
    hashed = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    lines = [f"{name} {ROLES[name]} {digest}  # a test's" for name, digest in hashed.items()]
    tokens.write_text("# who may call\n\n" + "\n".join(lines))
    return Settings.read(
        {"FUSEGPT_HOME": str(tmp_path / "home"), "FUSEGPT_DATA_ROOTS": str(drives), "FUSEGPT_TOKENS": str(tokens)}
    )


@pytest.fixture
def store() -> MemoryJobStore:
    return MemoryJobStore()


@pytest.fixture
def runner() -> IdleRunner:
    return IdleRunner()


@pytest.fixture
def app(settings: Settings, store: MemoryJobStore, runner: IdleRunner) -> FastAPI:
    return create_app(settings, store, runner, Registry(settings), dispatch=False)


As = Callable[[str], TestClient]


@pytest.fixture
def by(app: FastAPI) -> Iterator[As]:
    """A client with somebody's token; nobody's without a name."""
    with ExitStack() as stack:

        def client(name: str = "") -> TestClient:
            headers = {"Authorization": f"Bearer {TOKENS[name]}"} if name else {}
            return stack.enter_context(TestClient(app, headers=headers, raise_server_exceptions=False))

        yield client
