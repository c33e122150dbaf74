"""One cluster for all tests that need it: every service of docker-compose.yml, with two worker hosts."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import postgres_image
import pytest
from hosts import obstacle
from laptop import Laptop
from stack import Stack

WORKERS = "ray-worker-cpu"


@pytest.fixture(scope="session")
def token() -> str:
    """The token of a person who may do everything."""
    return secrets.token_hex(32)


@pytest.fixture(scope="session")
def stack(token: str) -> Iterator[Stack]:
    """The cluster, up and healthy. Skips, with the reason, where this machine cannot hold it."""
    if why := obstacle():
        pytest.skip(why)
    if postgres_image.programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Not below /tmp, of which each host has its own.
    folder = Path(tempfile.mkdtemp(prefix="fusegpt-", dir="/var/tmp"))
    folder.chmod(0o755)
    (folder / "data").mkdir()
    (folder / "tokens").write_text(f"ann admin {hashlib.sha256(token.encode()).hexdigest()}\n")
    variables = {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "FUSEGPT_DATA": str(folder / "data"),
        "FUSEGPT_TOKENS": str(folder / "tokens"),
        "WORKER_CPUS": "1",
    }
    stack = Stack(folder, variables, {"cpu"}, {WORKERS: 2})
    try:
        stack.up()
        yield stack
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def laptop(stack: Stack, token: str) -> Laptop:
    """A machine that only has the command, the address and the token."""
    return Laptop(stack.network.add("laptop"), token)
