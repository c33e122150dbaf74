"""Whether a server answers at an address, quickly."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ray": 10001, "postgresql": 5432}


def answers(address: str, timeout_s: float = 2.0) -> bool:
    """Whether something accepts a connection at `scheme://host:port` or `host:port`."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme.split("+")[0], 0)
    if not parts.hostname or not port:
        return False
    try:
        with socket.create_connection((parts.hostname, port), timeout_s):
            return True
    except OSError:
        return False
