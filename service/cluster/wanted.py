"""A process that runs for an answer: until it has one, its time is up, or nobody waits for the answer any more."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

Gone = Callable[[], bool]  # whether whoever asked has left

LOOK_S = 0.3


class NobodyWaitsError(Exception):
    """Whoever asked has left, and the process was ended."""


def waiting() -> bool:
    """Of somebody who stays: never gone."""
    return False


def run_while_wanted(
    command: Sequence[str], asked: str, environment: Mapping[str, str], limit_s: float, gone: Gone
) -> subprocess.CompletedProcess[str]:
    """Run a command with `asked` as its input. Raises TimeoutExpired or NobodyWaitsError: it has ended then."""
    deadline, pipe = time.monotonic() + limit_s, subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        told: str | None = asked  # once: whoever asks again only listens
        while True:
            try:
                out, err = process.communicate(told, timeout=LOOK_S)
                return subprocess.CompletedProcess(command, process.returncode, out, err)
            except subprocess.TimeoutExpired:
                told = None
            if gone():
                process.kill()
                raise NobodyWaitsError
            if time.monotonic() > deadline:
                process.kill()
                raise subprocess.TimeoutExpired(command, limit_s)
