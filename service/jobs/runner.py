"""`JobRunner`: starts a job's process somewhere, knows it again, and ends it where it does not listen.

The word to pause or to stop does not go through the runner: it is the job's state in the store, which the job's own
process reads wherever it runs. So it outlives this process, and is the same for every runner.
"""

from __future__ import annotations

from typing import Literal, Protocol

from service.jobs.job import Job
from service.jobs.queue import Capacity

# "elsewhere": on a machine that this runner cannot look at; nothing can be said of it.
Life = Literal["alive", "gone", "elsewhere"]


class JobRunner(Protocol):
    """Safe for several threads. A new one, after a restart, finds the processes of the one before."""

    def capacity(self) -> Capacity:
        """What there is to run jobs on. Raises ClusterUnreachable where a cluster has it and does not answer."""
        ...

    def start(self, job: Job) -> None:
        """Begin the process of a job that is `starting`; it tells the store itself where it is (`job.handle`)."""
        ...

    def life(self, job: Job) -> Life:
        """Whether the process of this attempt of a job is there."""
        ...

    def kill(self, job: Job) -> None:
        """End the process at once, and all that it started. No error where it is gone already."""
        ...

    def read_log(self, job: Job, offset: int, limit: int = 1 << 16) -> bytes:
        """What the job's processes wrote, from a byte on; empty where there is no more yet."""
        ...
