"""The process that keeps a Ray of our own: started by `local_ray`, it lives as long as its standard input is open.

When the parent closes the pipe, or dies in whatever way, Ray ends with everything that it started: its own processes
(they share the fate of this one), Serve's HAProxy (which does not), and the session's folder.

    python -m service.cluster.head [--cpus N] [--dashboard] [--serve]
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

# Ray keeps unix sockets under its folder, whose path may be 107 bytes long: short, and never below a person's home.
SHORT_FOLDER = "/tmp"
OBJECT_STORE_BYTES = 512 * 1024**2
# Where Ray looks which cluster the driver of a job belongs to; `ray start` writes it, `ray.init` does not. Without it a
# driver gets the address of any Ray on this host.
CURRENT = "ray_current_cluster"


def main() -> None:
    """Start Ray, say where it is in one line of JSON, and wait for the end of standard input."""
    options = _options()
    # Ctrl-C is the parent's: it stops its trials before it closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path(options.folder or tempfile.mkdtemp(prefix="fg-", dir=SHORT_FOLDER))
    if not options.folder and shlex.quote(sys.executable) != sys.executable:
        run_again_without_spaces(folder)
    answer = _take_stdout()
    try:
        with answer:
            answer.write(json.dumps(start(folder, options.cpus, options.dashboard, options.serve)) + "\n")
        sys.stdin.buffer.read()
    finally:
        end(folder)


def run_again_without_spaces(folder: Path) -> None:
    """This program in place of itself, by an interpreter whose path a shell takes as it stands.

    Ray puts the path into a shell's line without quotes: with a space in it no worker would ever start.
    """
    environment = folder / "venv"
    environment.symlink_to(sys.prefix)
    python = str(environment / Path(sys.executable).relative_to(sys.prefix))
    os.execv(python, [python, "-m", "service.cluster.head", *sys.argv[1:], "--folder", str(folder)])


def start(folder: Path, cpus: float | None, dashboard: bool, serve: bool) -> dict[str, str]:
    """Start Ray under `folder`; every port is one that is free. What the parent must know of it."""
    if serve:
        os.environ.update(haproxy_environment(folder / "haproxy"))
    import ray

    context = ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=dashboard or serve,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
        configure_logging=False,
        log_to_driver=False,
    )
    url, address = context.dashboard_url, context.address_info["gcs_address"]
    (folder / CURRENT).write_text(address)
    return {
        "address": address,
        "dashboard_url": f"http://{url}" if url else "",
        "folder": str(folder),
    }


def haproxy_environment(folder: Path) -> dict[str, str]:
    """Serve behind HAProxy, with its files in a folder of this session: several may run on one host."""
    folder.mkdir()
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


def end(folder: Path) -> None:
    """Shut Ray down and remove what it left: HAProxy outlives its parent and would keep its port."""
    import ray

    with suppress(Exception):
        ray.shutdown()
    for pid in haproxies(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the session's folder; processes that are about to end may still write their last lines into it."""
    deadline = time.monotonic() + 10.0
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def haproxies(folder: Path) -> list[int]:
    """The HAProxy processes of the session in `folder`: their command line names its configuration file."""
    mark = os.fsencode(folder / "haproxy")
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def _take_stdout() -> TextIO:
    """Standard output for the one line; what libraries print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answer


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="service.cluster.head", description="Keep a Ray until standard input ends.")
    parser.add_argument("--cpus", type=float, default=None, help="CPUs that Ray may give away; default: all")
    parser.add_argument("--dashboard", action="store_true", help="start the dashboard and its REST interface")
    parser.add_argument("--serve", action="store_true", help="make Serve use HAProxy (starts the dashboard as well)")
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
