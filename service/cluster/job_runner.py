"""`RayJobRunner`: a job is a driver on the Ray cluster, submitted through Ray Jobs, so that it outlives the API.

The driver is the same process as on one machine (`service.jobs.worker`): it runs on the head, where the cluster has it
for as long as it stands, and writes its log below FUSEGPT_HOME, which all hosts of the cluster share.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Sequence

from service.cluster.capacity import trials_at_once
from service.cluster.dashboard import Dashboard
from service.cluster.prestart import prestart_for_driver
from service.errors import ClusterUnreachable
from service.jobs.job import Job, now
from service.jobs.log import log_of, read_from
from service.jobs.queue import Capacity, capacity_of
from service.jobs.runner import Life
from service.jobs.state import ACTIVE
from service.settings import Settings
from service.spec import JobSpec, resolve

log = logging.getLogger("fusegpt.cluster")

WORKER = ("python", "-m", "service.jobs.worker")  # the cluster's python: its PATH, its packages
NOT_REACHED_S = 600.0  # how long nodes that could not be asked for processes are not asked again
UNKNOWN_S = 90.0  # how long Ray may not know a driver that is being submitted


class RayJobRunner:
    """Implements JobRunner. `command` gets the job's id and the number of the attempt."""

    def __init__(self, settings: Settings, dashboard: Dashboard | None = None, command: Sequence[str] = WORKER) -> None:
        self._settings, self._command = settings, command
        self._dashboard = dashboard or Dashboard(settings)
        self._ask_nodes_after = 0.0

    def capacity(self) -> Capacity:
        """Raises ClusterUnreachable."""
        return capacity_of(self._dashboard.nodes())

    def start(self, job: Job) -> None:
        """Raises OSError where the cluster does not take it, ClusterUnreachable where none answers."""
        log = shlex.quote(str(log_of(self._settings, job)))
        folder = shlex.quote(str(log_of(self._settings, job).parent))
        worker = shlex.join([*self._command, job.id, str(job.attempts)])
        # In braces, so that also the word of a shell that cannot start it goes to the log.
        line = f"mkdir -p {folder} && cd {folder} && {{ exec {worker}; }} >> {log} 2>&1"
        self._dashboard.submit(_submission(job), line, self._with_trials_ahead(job, self._environment()))

    def life(self, job: Job) -> Life:
        try:
            state = self._dashboard.state(_submission(job))
        except ClusterUnreachable:
            return "elsewhere"
        if state == "UNKNOWN" and (now() - (job.moved or job.created)).total_seconds() < UNKNOWN_S:
            return "elsewhere"
        return "alive" if state in ("PENDING", "RUNNING") else "gone"

    def kill(self, job: Job) -> None:
        self._dashboard.stop(_submission(job))

    def read_log(self, job: Job, offset: int, limit: int = 1 << 16) -> bytes:
        """From the file that all hosts share; what a driver said that never came so far, Ray has.

        Ray is not asked while there may be more to come: who follows goes on in the file, from where they are.
        """
        written = read_from(log_of(self._settings, job), offset, limit)
        if written or offset or job.state in ACTIVE:
            return written
        try:
            return self._dashboard.log(_submission(job)).encode()[:limit]
        except ClusterUnreachable:
            return b""

    def _with_trials_ahead(self, job: Job, variables: dict[str, str]) -> dict[str, str]:
        """Have the processes of its first trials come up beside the driver; its variables, which tell it of that.

        Only saves time. Where the nodes cannot be reached from here, they are not waited for again for a while.
        """
        if time.monotonic() < self._ask_nodes_after:
            return variables
        try:
            experiment = resolve(JobSpec.model_validate(job.spec))
            resources = experiment.resources
            if resources.workers_per_trial > 1:  # the process of such a trial imports nothing of the training
                return variables
            raylets, address = self._dashboard.raylets(self._settings.ray_address.rpartition(":")[2])
            trials = min(experiment.search.trials, trials_at_once(resources, [raylet.has for raylet in raylets]))
            return prestart_for_driver(raylets, address, variables, resources, trials)
        except Exception as error:
            log.debug("no process of %s is started ahead: %s", job.name, error)
            self._ask_nodes_after = time.monotonic() + NOT_REACHED_S
            return variables

    def _environment(self) -> dict[str, str]:
        """The settings for the driver; where Ray is, Ray tells it."""
        said = self._settings.environment()
        return {name: value for name, value in said.items() if value and not name.startswith("RAY_")}


def _submission(job: Job) -> str:
    """One driver for each attempt: Ray takes an id once."""
    return f"{job.id}-{job.attempts}"
