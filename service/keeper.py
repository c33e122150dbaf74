"""`python -m service.keeper`: looks after the queue where no API does, until nothing waits and nothing runs.

The command starts it beside a job that it queues without a server, and need not stay: what waits starts when its turn
comes, and what was lost is tried again. One of them works at a time.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.jobs.dispatcher import TURN_S, Dispatcher
from service.jobs.state import ACTIVE
from service.jobs.store import JobStore
from service.settings import Settings

KEPT = (*ACTIVE, "queued")


def keep(store: JobStore, dispatcher: Dispatcher, lock: Path, rest_s: float = TURN_S) -> None:
    """Take turns until no job is left; returns at once where another process does so.

    The last look is taken after the lock is free: a job that was queued while another keeper found it taken is in the
    store by then, and is seen.
    """
    while store.jobs(states=KEPT, limit=1):
        with _only_one(lock) as mine:
            if not mine:
                return
            while store.jobs(states=KEPT, limit=1):
                dispatcher.turn()
                time.sleep(rest_s)


@contextmanager
def _only_one(lock: Path) -> Iterator[bool]:
    """Whether this process holds the lock; the system lets go of it however the process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def start_keeper(settings: Settings) -> None:
    """In a session of its own, so that it outlives the command. What it has to say goes beside the jobs' logs."""
    log = settings.home / "jobs" / "keeper.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        subprocess.Popen(
            [sys.executable, "-m", "service.keeper"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings.environment()},
            cwd=log.parent,
            start_new_session=True,
        ).returncode = 0  # not ours to wait for


def main() -> None:
    """Keep this process's settings' queue."""
    from service.jobs.local_runner import LocalRunner
    from service.jobs.store import open_store

    settings = Settings.read()
    store = open_store(settings.store_url)
    dispatcher = Dispatcher(
        store, LocalRunner(settings), settings.jobs, place_patience_s=60.0 * settings.placement_patience_minutes
    )
    keep(store, dispatcher, settings.home / "keeper.lock")
    store.close()


if __name__ == "__main__":
    main()
