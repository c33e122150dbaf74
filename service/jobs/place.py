"""Whether the cluster as it is now has a place for a queued job, and how long the job waits for one where it has not.

A job was admitted because its trials did fit. The cluster may have lost hosts since: for a moment, or for good.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from fusegpt.experiment import Experiment
from service.cluster.capacity import NoPlaceError, lacking
from service.jobs.job import Job
from service.jobs.queue import Capacity, held_by, nodes_of
from service.jobs.retry import Failure
from service.spec import JobSpec, resolve


def placed(queued: Iterable[Job], capacity: Capacity) -> tuple[list[Job], dict[str, str]]:
    """The jobs that have a place, with what each would hold of the cluster as it is; id -> what the others lack."""
    there: list[Job] = []
    lack: dict[str, str] = {}
    for job in queued:
        try:
            experiment = _asked(json.dumps(job.spec, sort_keys=True))
            holds = held_by(experiment, capacity)
        except NoPlaceError:
            lack[job.id] = lacking(experiment.resources, nodes_of(capacity))
        except ValueError:  # its own process will say what is wrong with it
            there.append(job)
        else:
            there.append(job.model_copy(update={"cpus": holds.cpus, "gpus": holds.gpus}))
    return there, lack


@lru_cache(maxsize=1000)
def _asked(spec: str) -> Experiment:
    return resolve(JobSpec.model_validate_json(spec))


def without_place(job: Job, lack: str, patience_s: float, time: datetime) -> dict[str, Any]:
    """What changes of a queued job that no host can take. Its patience, if that is not 0, ends it.

    Its trials stay as they are: resumed, it goes on.
    """
    since = job.no_place_since or time
    why = f"{lack}, since {_clock(since, time)}"
    waited_s = (time - since).total_seconds()
    if not patience_s or waited_s < patience_s:
        return {"reason": why, "no_place_since": since}
    failure = Failure("place", f"{why}; resume it when that host is back")
    return {"state": "failed", "reason": failure.reason(), "failure": failure.kind, "no_place_since": None}


def _clock(since: datetime, time: datetime) -> str:
    """A time of today, or with its date."""
    return f"{since:%H:%M} UTC" if since.date() == time.date() else f"{since:%Y-%m-%d %H:%M} UTC"
