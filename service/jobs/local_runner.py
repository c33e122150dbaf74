"""`LocalRunner`: a job is a process on this machine, in a session of its own, so that it outlives the API."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from service.cluster.dashboard import Dashboard
from service.jobs.job import Handle, Job, now
from service.jobs.log import log_of, read_from
from service.jobs.queue import Capacity, capacity_of
from service.jobs.runner import Life
from service.settings import Settings

WORKER = (sys.executable, "-m", "service.jobs.worker")
CLAIM_S = 120.0  # how long a process may take, from its start, until it has told the store where it is


class LocalRunner:
    """Implements JobRunner. `command` gets the job's id and the number of the attempt."""

    def __init__(self, settings: Settings, command: Sequence[str] = WORKER) -> None:
        self._settings, self._command = settings, command
        self._dashboard = Dashboard(settings) if settings.ray_address else None
        self._children: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def capacity(self) -> Capacity:
        """That of the cluster which its jobs will join, where there is one. Raises ClusterUnreachable."""
        if self._dashboard is not None:
            return capacity_of(self._dashboard.nodes())
        gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
        return Capacity(float(len(psutil.Process().cpu_affinity() or ()) or os.cpu_count() or 1), float(gpus))

    def start(self, job: Job) -> None:
        """Raises OSError where no process can be started."""
        log = log_of(self._settings, job)
        log.parent.mkdir(parents=True, exist_ok=True)
        # The store's URL may hold a password: in the environment, not in the command, where everybody can read it.
        environment = {**os.environ, **self._settings.environment(), "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as out:
            child = subprocess.Popen(
                [*self._command, job.id, str(job.attempts)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=log.parent,
                start_new_session=True,
            )
        with self._lock:
            self._children[job.id, job.attempts] = child

    def life(self, job: Job) -> Life:
        self._reap()
        if job.handle is None:
            return self._unclaimed(job)
        if job.handle.host != socket.gethostname():
            return "elsewhere"
        return "alive" if _process(job.handle) else "gone"

    def kill(self, job: Job) -> None:
        process = _process(job.handle) if job.handle and job.handle.host == socket.gethostname() else None
        child = self._children.get((job.id, job.attempts))
        pid = process.pid if process else child.pid if child and child.poll() is None else None
        if pid is not None:
            # Its own session: the group is the job's process and those it started, nobody else's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def read_log(self, job: Job, offset: int, limit: int = 1 << 16) -> bytes:
        return read_from(log_of(self._settings, job), offset, limit)

    def _unclaimed(self, job: Job) -> Life:
        """A process that has not told yet where it is; after a restart nobody knows it, and it gets its time."""
        child = self._children.get((job.id, job.attempts))
        if child is not None:
            return "alive" if child.poll() is None else "gone"
        since = (now() - (job.moved or job.created)).total_seconds()
        return "alive" if since < CLAIM_S else "gone"

    def _reap(self) -> None:
        with self._lock:
            for child in self._children.values():
                child.poll()


def this_process() -> Handle:
    """Where this process is."""
    return Handle(host=socket.gethostname(), pid=os.getpid(), began=psutil.Process().create_time())


def _process(handle: Handle) -> psutil.Process | None:
    """The process of a handle; None where it is gone, or where another one has its pid now."""
    try:
        process = psutil.Process(handle.pid)
        same = abs(process.create_time() - handle.began) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
