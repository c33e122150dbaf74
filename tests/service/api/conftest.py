"""The API over parts of this process: a store in memory, a runner that starts nothing, an empty registry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from api_callers import ROLES, TOKENS, As, IdleRunner
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.api.app import create_app
from service.jobs.memory import MemoryJobStore
from service.registry import Registry
from service.settings import Settings


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


@pytest.fixture
def by(app: FastAPI) -> Iterator[As]:
    """A client with somebody's token; nobody's without a name."""
    with ExitStack() as stack:

        def client(name: str = "") -> TestClient:
            headers = {"Authorization": f"Bearer {TOKENS[name]}"} if name else {}
            return stack.enter_context(TestClient(app, headers=headers, raise_server_exceptions=False))

        yield client
