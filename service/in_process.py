"""`InProcessJobs`: the job service without a server, for the command where FUSEGPT_ADDRESS is not set.

The same routes over the same store; who uses it acts with their own rights on their own machine. A job is a process of
its own as with a server, and outlives the command.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Response
from pydantic import BaseModel, ValidationError

from fusegpt.config import SettingError, explain
from service.api import experiments as experiment_routes
from service.api import jobs as routes
from service.api import progress as progress_routes
from service.api import searches as search_routes
from service.api import trials as trial_routes
from service.api.access import LOCAL, Access
from service.api.services import Services
from service.api.streams import POLL_S
from service.api.wire import JobChange, PlanRequest, Resumption, Submission
from service.cluster.wanted import waiting
from service.jobs.dispatcher import Dispatcher
from service.jobs.local_runner import LocalRunner
from service.jobs.store import open_store
from service.keeper import KEPT, start_keeper
from service.registry import Registry
from service.remote import Json, Word
from service.settings import Settings

Asked = TypeVar("Asked", bound=BaseModel)


class InProcessJobs:
    """Implements service.remote.Jobs. Every use also looks after the queue, as the API's dispatcher does."""

    def __init__(self, settings: Settings) -> None:
        self._store, self._runner = open_store(settings.store_url), LocalRunner(settings)
        # Whoever runs a command may read what they may read: no list of data roots, and no tokens.
        own = settings.model_copy(update={"data_roots": (Path("/"),), "tokens": None, "api_host": "127.0.0.1"})
        self._settings = settings
        self._use = Services(own, self._store, self._runner, Registry(settings), Access(own))
        self._dispatcher = Dispatcher(
            self._store, self._runner, settings.jobs, place_patience_s=60.0 * settings.placement_patience_minutes
        )
        self._dispatcher.turn()

    def submit(self, spec: Json, priority: int, key: str) -> Json:
        asked = _read(Submission, spec=spec, priority=priority)
        job = routes.submit(asked, self._use, LOCAL, Response(), key)
        self._set_going()
        return _json(job)

    def plan(self, spec: Json, probe: bool) -> Json:
        return _json(experiment_routes.plan(_read(PlanRequest, spec=spec, probe=probe), self._use, LOCAL, waiting))

    def jobs(self, experiment: str, limit: int) -> list[Json]:
        return [_json(job) for job in routes.jobs(self._use, LOCAL, [], experiment, 0, limit).jobs]

    def job(self, name: str) -> Json:
        return _json(routes.one(name, self._use, LOCAL))

    def progress(self, name: str) -> Json:
        return _json(progress_routes.progress(name, self._use, LOCAL))

    def trials(self, name: str) -> list[Json]:
        return [_json(trial) for trial in trial_routes.trials(name, self._use, LOCAL)]

    def cancel_trial(self, name: str, number: int) -> Json:
        return _json(trial_routes.cancel(name, number, self._use, LOCAL))

    def experiment(self, name: str) -> Json:
        return _json(experiment_routes.one(name, LOCAL))

    def searches(self, experiment: str) -> Json:
        return _json(search_routes.searches(self._use, LOCAL, experiment))

    def search_trials(self, name: str) -> list[Json]:
        return [_json(trial) for trial in search_routes.trials(name, self._use, LOCAL)]

    def best(self, name: str) -> Json:
        return _json(search_routes.best(name, self._use, LOCAL))

    def front(self, name: str) -> Json:
        return _json(search_routes.front(name, self._use, LOCAL))

    def change(self, name: str, changes: Json) -> Json:
        changed = routes.change(name, _read(JobChange, **changes), self._use, LOCAL)
        self._set_going()
        return _json(changed)

    def say(self, word: Word, name: str) -> Json:
        verbs = {"cancel": routes.cancel, "pause": routes.pause}
        told = verbs[word](name, self._use, LOCAL)
        self._set_going()
        return _json(told)

    def resume(self, name: str, budget: Json) -> Json:
        asked = _read(Resumption, budget=budget or None)
        resumed = routes.resume(name, self._use, LOCAL, asked)
        self._set_going()
        return _json(resumed)

    def log(self, name: str, follow: bool, offset: int) -> Iterator[bytes]:
        while True:
            job = self._store.get(name)  # looked at first: what it wrote before its end is in the log by then
            while chunk := self._runner.read_log(job, offset):
                offset += len(chunk)
                yield chunk
            if job.final or not follow:
                return
            self._dispatcher.turn()
            time.sleep(POLL_S)

    def close(self) -> None:
        self._store.close()

    def _set_going(self) -> None:
        """Start what fits now, and leave somebody to look after what waits."""
        self._dispatcher.turn()
        if self._store.jobs(states=KEPT, limit=1):
            start_keeper(self._settings)


def _json(view: BaseModel) -> Json:
    return view.model_dump(mode="json")


def _read(kind: type[Asked], **asked: Any) -> Asked:
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        raise SettingError(explain(error)) from None
