"""`standing`: the whole service with several worker hosts, up and healthy, for the length of a `with`."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._cluster import hosts, postgres_image
from benchmarks._cluster.stack import Stack

WORKERS = "ray-worker-cpu"


def obstacle() -> str:
    """Why this machine cannot hold the service; empty where it can."""
    if postgres_image.programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    return hosts.obstacle()


@contextmanager
def standing(token: str, worker_hosts: int = 2, patience: float = 1.0) -> Iterator[Stack]:
    """One CPU a worker host; who has `token` may do everything. Nothing is left of it at the end."""
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
    stack = Stack(folder, variables, {"cpu"}, {WORKERS: worker_hosts}, patience)
    try:
        stack.up()
        yield stack
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
