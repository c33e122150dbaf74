"""What the entrypoint of the public PostgreSQL image does, with Debian's PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

USER = "postgres"


def programs() -> Path | None:
    """The folder of the newest PostgreSQL of this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def prepare(data: Path, environment: Mapping[str, str], scripts: Sequence[str]) -> list[str]:
    """Make the databases in `data`, where they are not; the command that serves them.

    Passwords are needed over TCP, as in the image.
    """
    where = programs()
    assert where is not None
    serve = [str(where / "postgres"), "-D", str(data), "-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp"]
    command = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *serve, "-c", "fsync=off"]
    if (data / "PG_VERSION").exists():
        return command
    data.mkdir(exist_ok=True)
    shutil.chown(data, USER, USER)
    password = data.parent / "password"
    password.write_text(environment["POSTGRES_PASSWORD"])
    shutil.chown(password, USER)
    name = environment["POSTGRES_USER"]
    plain = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    init = [str(where / "initdb"), "-D", str(data), "-U", name, "-A", "scram-sha-256", f"--pwfile={password}"]
    subprocess.run(
        [*init, "--no-sync", "-E", "UTF8"], user=USER, cwd=data.parent, env=plain, check=True, capture_output=True
    )
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all all scram-sha-256\n")
    asked = "\n".join([f"CREATE DATABASE {environment['POSTGRES_DB']};", *scripts, ""])
    single = [str(where / "postgres"), "--single", "-D", str(data), "postgres"]
    subprocess.run(single, input=asked.encode(), user=USER, cwd=data, env=plain, check=True, capture_output=True)
    return command
