"""A port for a server that a test starts in a process of its own, and starts again."""

from __future__ import annotations

import random
import socket
from pathlib import Path

ABOVE_RAYS = 20_000  # its workers' ports end there


def free_port() -> int:
    """One that nothing listens at, and that the system gives to nobody by itself: not of those that it deals out to
    whoever connects or asks for any, as every other server of the tests does meanwhile."""
    dealt_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    known = range(ABOVE_RAYS, dealt_out)
    for port in random.SystemRandom().sample(known, min(100, len(known))):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
