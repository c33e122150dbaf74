"""One cluster for all tests that need it: every service of docker-compose.yml, with two worker hosts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._cluster.laptop import Laptop
from benchmarks._cluster.stack import Stack
from benchmarks._cluster.team import obstacle, standing

PATIENCE = 5.0  # how much slower than a team's machine this one may be


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last of all: the cluster stands until the session ends, and takes its part of the machine."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@pytest.fixture(scope="session")
def token() -> str:
    """The token of a person who may do everything."""
    return secrets.token_hex(32)


@pytest.fixture(scope="session")
def stack(token: str) -> Iterator[Stack]:
    """The cluster, up and healthy. Skips, with the reason, where this machine cannot hold it."""
    if why := obstacle():
        pytest.skip(why)
    with standing(token, patience=PATIENCE) as stack:
        yield stack


@pytest.fixture(scope="session")
def laptop(stack: Stack, token: str) -> Laptop:
    """A machine that only has the command, the address and the token."""
    return Laptop(stack.network.add("laptop"), token)
