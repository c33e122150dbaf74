"""What Ray Serve starts in place of HAProxy: it narrows the configuration, then becomes HAProxy.

Serve writes a configuration that also listens on every interface for statistics (ports 8404 and 9101, the same for
every Ray on a host) and that lets every user of the machine into the admin socket; and its HAProxy outlives a parent
that is killed, keeping the endpoint's port. Run by path, with the standard library alone, on each start and reload:

    python haproxy_start.py HAPROXY -db -f CONFIGURATION ...
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

OPEN_SECTIONS = ("frontend prometheus", "listen stats")
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become HAProxy, with the same process id: Serve addresses its signals to it."""
    configuration = Path(arguments[arguments.index("-f") + 1])
    configuration.write_text(narrowed(configuration.read_text()))
    die_with_parent()
    os.execv(arguments[0], arguments)


def narrowed(configuration: str) -> str:
    """The configuration without the sections that listen everywhere, the admin socket for its owner only."""
    kept: list[str] = []
    open_section = False
    for line in configuration.splitlines():
        if line and not line[0].isspace():
            open_section = line.strip() in OPEN_SECTIONS
        if not open_section:
            kept.append(line.replace("mode 666", "mode 600") if "stats socket" in line else line)
    return "\n".join(kept) + "\n"


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, in whatever way. Linux only."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone already")


if __name__ == "__main__":
    main(sys.argv[1:])
