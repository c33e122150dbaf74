"""Kill -9: which processes of the service there are to be lost, and how each is taken away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from benchmarks._cluster.hosts import Host
from benchmarks._cluster.stack import Stack
from benchmarks._cluster.team import WORKERS

# Ray's own on every node: with one of these its raylet ends, which is the loss of a node.
_OF_THE_NODE = (b"ray::IDLE", b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")


def kill_trial(stack: Stack, rng: Random) -> bool:
    """One process of those that run trials: Tune's, a worker of several, or what keeps them together."""
    pids = [pid for host in stack.names(WORKERS) for pid in _running(stack.hosts[host], _is_of_a_trial)]
    return _kill_one(pids, rng)


def kill_node(stack: Stack, rng: Random) -> bool:
    """A worker host as by its power; or only its raylet, with which its container ends."""
    up = [name for name in stack.names(WORKERS) if stack.is_up(name)]
    if not up:
        return False
    name = rng.choice(up)
    if rng.random() < 0.5:
        stack.kill(name)
        return True
    return _kill_one(_running(stack.hosts[name], lambda command: command[0].endswith(b"/raylet")), rng)


def kill_driver(stack: Stack, job: str) -> int:
    """The process of a job on the head. How many there were."""
    pids = _running(stack.hosts["ray-head"], lambda command: {b"service.jobs.worker", job.encode()} <= set(command))
    return sum(_kill(pid) for pid in pids)


def kill_replica(stack: Stack, rng: Random) -> bool:
    """What answers requests at the endpoint."""
    host = stack.hosts["endpoint"]
    return _kill_one(_running(host, lambda command: command[0].startswith(b"ray::ServeReplica")), rng)


def _is_of_a_trial(command: list[bytes]) -> bool:
    return command[0].startswith(b"ray::") and not command[0].startswith(_OF_THE_NODE)


def _running(host: Host, wanted: Callable[[list[bytes]], bool]) -> list[int]:
    """Processes of a host by their command."""
    found = []
    for pid in host.pids():
        with suppress(OSError):
            if wanted(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")):
                found.append(pid)
    return found


def _kill_one(pids: list[int], rng: Random) -> bool:
    return bool(pids) and _kill(rng.choice(pids))


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False
