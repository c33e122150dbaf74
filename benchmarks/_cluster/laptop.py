"""`Laptop`: a person's machine on the network, with the `fusegpt` command."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._cluster.hosts import Host
from benchmarks._cluster.stack import plain_environment

SERVICE = {"FUSEGPT_ADDRESS": "http://api:8701", "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
ANSWER_S = 60.0


class Laptop:
    """All it knows of the service is where it is, and a token."""

    def __init__(self, host: Host, token: str) -> None:
        self.host = host
        self._environment = {**plain_environment(host), **SERVICE, "FUSEGPT_TOKEN": token}

    def fusegpt(self, *arguments: object, code: int = 0, timeout_s: float = ANSWER_S) -> str:
        """What the command prints; it has to end with this exit code."""
        done = self.host.run(["fusegpt", *map(str, arguments)], self._environment, timeout_s)
        assert done.returncode == code, f"fusegpt {arguments}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr}"
        return done.stdout

    def asks(self, *arguments: object, code: int = 0) -> Any:
        """What the command answers with --json."""
        return json.loads(self.fusegpt(*arguments, "--json", code=code))

    def starts(self, *arguments: object) -> subprocess.Popen[str]:
        """The command, running."""
        return self.host.start(["fusegpt", *map(str, arguments)], self._environment)

    def runs(self, program: Path, *arguments: object) -> Any:
        """What a program beside these tests prints, as JSON."""
        done = self.host.run(["python", str(program), *map(str, arguments)], self._environment, ANSWER_S)
        assert done.returncode == 0, f"{program.name} {arguments}\n{done.stderr[-3000:]}"
        return json.loads(done.stdout)

    def job(self, name: str) -> Any:
        return self.asks("status", name)["job"]


def wait_for(true: Callable[[], object], seconds: float, what: str) -> None:
    """Look again and again until it is true. Fails naming `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)
