"""The process of one job: `python -m service.jobs.worker JOB_ID ATTEMPT`, with the settings in its environment.

It claims the job (one process can), runs the same main line as `fusegpt tune`, and listens to the job's state: when
that becomes `pausing` or `stopping`, or the job is another process's by now, the search ends as by ctrl-C, its trials
keep their state, and what holds CPUs and GPUs is let go of.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from service.cluster.oom import surviving
from service.errors import ClusterUnreachable, JobFailed
from service.events import Observer, Search
from service.jobs.job import Job, now
from service.jobs.journal import Journal, finite, progress_of
from service.jobs.local_runner import this_process
from service.jobs.log import log_of
from service.jobs.retry import Failure, failure_of, failure_said, may_retry, pause_before
from service.jobs.state import JobState
from service.jobs.store import Conflict, JobStore, amend, open_store
from service.settings import Settings

if TYPE_CHECKING:
    from service.run import Outcome

log = logging.getLogger("fusegpt.job")

LISTEN_S = 0.3
STORE_PATIENCE_S = 600.0  # how long the end of a job waits for a store that is away
ENDS: dict[JobState, JobState] = {"pausing": "paused", "stopping": "stopped"}

# (search, settings, observers, resume) -> what it came to.
Tune = Callable[[Search, Settings, list[Observer], bool], "Outcome"]


def main(arguments: list[str], tune: Tune | None = None) -> int:
    """Run one attempt of a job. Returns 0 where the job ended as it should, 1 where it failed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):  # a parent may have had them ignored
        signal.signal(number, _interrupt)
    settings = Settings.read()
    store = open_store(settings.store_url)
    try:
        job = _claim(store, arguments[0], int(arguments[1]))
    except Conflict as error:
        log.warning("%s", error)
        return 0
    changes = _run(job, settings, store, tune or _tune)
    return 0 if _finish(store, job, changes) != "failed" else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tune(search: Search, settings: Settings, observers: list[Observer], resume: bool) -> Outcome:
    from service import run

    return run.tune(search, settings, observers, resume=resume, as_job=True)


def _claim(store: JobStore, job_id: str, attempt: int) -> Job:
    """Make the job this process's. Raises Conflict where it is not to be started, or is another attempt's."""
    here = this_process()

    def decide(job: Job) -> dict[str, Any]:
        if job.attempts != attempt or job.state not in ("starting", "pausing", "stopping") or job.handle is not None:
            said = f"job {job.name} is {job.state} in attempt {job.attempts}"
            raise Conflict(f"{said}: nothing to do for attempt {attempt}")
        # One that was told to end meanwhile stays so: the Listener will see it.
        return {"state": "running" if job.state == "starting" else job.state, "handle": here}

    return amend(store, job_id, decide)


def _run(job: Job, settings: Settings, store: JobStore, tune: Tune) -> Callable[[Job], dict[str, Any]]:
    """Search; returns what has to be changed in the job, as it stands then."""
    try:
        with surviving(log_of(settings, job).with_suffix(".process"), job.id), Listener(store, job):
            outcome = _search(job, settings, store, tune)
    except KeyboardInterrupt:
        return lambda present: _interrupted(present, progress_of(store, job.id))
    except Exception as error:
        traceback.print_exc()
        failure = failure_of(error)
        return lambda present: failed(present, failure, progress_of(store, job.id))
    if outcome.best is None:
        said = next((trial.error for trial in outcome.trials if trial.error), "no trial reported its metric")
        final = failure_said(said)
        return lambda _: {"state": "failed", "reason": final.reason(), "failure": final.kind, "handle": None}
    result = result_of(outcome)
    return lambda _: {"state": "succeeded", "reason": "", "handle": None, "result": result}


def _search(job: Job, settings: Settings, store: JobStore, tune: Tune) -> Outcome:
    from service import run
    from service.cluster.extension import as_begun
    from service.progress import Progress
    from service.spec import JobSpec, resolve

    experiment = resolve(JobSpec.model_validate(job.spec))
    search = run.search_of(experiment, job.name, settings)
    resume = job.attempts > 1 and search.folder.exists()
    search = as_begun(search) if resume else search
    # Progress in plain lines: this process's stdout is the job's log.
    return tune(search, settings, [Journal(store, job.id), Progress.on_terminal()], resume)


def result_of(outcome: Outcome) -> dict[str, Any]:
    """The best trial, the version that it became, and what the gate said."""
    best, version, decision = outcome.best, outcome.version, outcome.decision
    assert best is not None
    told: dict[str, Any] = {
        "metric": outcome.search.metric,
        "best": finite(best.best),
        "trial": best.id,
        "drawn": dict(best.drawn),
        "trials": len(outcome.trials),
    }
    if outcome.ended:
        told["ended"] = outcome.ended
    if outcome.front:
        told["front"] = [trial.id for trial in outcome.front]
    if version is not None:
        told |= {"model": version.name, "version": version.number}
    if decision is not None:
        told |= {"promoted": decision.accepted, "gate": decision.reason}
    return told


def _interrupted(job: Job, progress: int) -> dict[str, Any]:
    """Told to by the job's state; or by a signal from elsewhere, which is as if the process had been lost."""
    if job.state in ENDS:
        return {"state": ENDS[job.state], "handle": None}
    return failed(job, Failure("lost", "the process was told to end by a signal"), progress)


def failed(job: Job, failure: Failure, progress: int = 0) -> dict[str, Any]:
    """What becomes of a job whose process ended without having been told to, when its trials had come so far.

    What it was tried again for before it got on counts no more: only what fails again and again at one place ends.
    """
    if job.state in ENDS and failure.kind == "lost":
        return {"state": ENDS[job.state], "handle": None}
    retried = job.retried if progress <= job.progress else {}
    times = retried.get(failure.kind, 0)
    if not may_retry(failure, times) or job.state in ENDS:
        after = f" (after {job.retries} retries)" if job.retries else ""
        return {"state": "failed", "reason": f"{failure.reason()}{after}", "failure": failure.kind, "handle": None}
    return {
        "state": "queued",
        "reason": failure.reason(),
        "retries": job.retries + 1,
        "retried": {**retried, failure.kind: times + 1},
        "progress": max(progress, job.progress),
        "not_before": now() + pause_before(failure, times),
        "handle": None,
    }


def _finish(store: JobStore, mine: Job, changes: Callable[[Job], dict[str, Any]]) -> JobState:
    """Tell the store how it ended; where the store is away, wait for it."""
    deadline = time.monotonic() + STORE_PATIENCE_S
    while True:
        try:
            return amend(store, mine.id, lambda job: changes(job) if job.handle == mine.handle else {}).state
        except ClusterUnreachable as error:
            if time.monotonic() > deadline:
                raise JobFailed(f"how job {mine.name} ended could not be told: {error}") from None
            time.sleep(1.0)


class Listener(threading.Thread):
    """Interrupts this process when its job is to pause or to stop, or is another process's by now."""

    def __init__(self, store: JobStore, job: Job) -> None:
        super().__init__(name="listener", daemon=True)
        self._store, self._job = store, job
        self._closed = threading.Event()

    def __enter__(self) -> Listener:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self.join()

    def run(self) -> None:
        while not self._closed.wait(LISTEN_S):
            if self._told():
                os.kill(os.getpid(), signal.SIGINT)
                return

    def _told(self) -> bool:
        try:
            job = self._store.get(self._job.id)
        except ClusterUnreachable:
            return False  # the search goes on without its store
        return job.state != "running" or job.handle != self._job.handle


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
