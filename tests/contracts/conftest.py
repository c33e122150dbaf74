"""A PostgreSQL of the tests' own: a private cluster on a unix socket, ended by its pid."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL. Skips where it is not installed, or where there is no user that may run it."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = _who()
    # Unix sockets have short paths (107 bytes), pytest's folders have not.
    folder = Path(tempfile.mkdtemp(prefix="fusegpt-pg-"))
    try:
        shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "fusegpt", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=user, cwd=folder, check=True, capture_output=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )  # fmt: skip
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            user=user, cwd=folder, stderr=log, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(folder, server)
            yield f"postgresql://fusegpt@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # its fast shutdown
            server.wait(PATIENCE_S)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _who() -> str:
    """The user to run it as; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user `postgres`")


def _wait(folder: Path, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    def answers() -> bool:
        try:
            psycopg.connect(host=str(folder), user="fusegpt", dbname="postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, (folder / "log").read_text()
            return False
        return True

    wait_for(answers)
