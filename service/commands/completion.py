"""What the shell completes: experiments, ready specs, jobs and their trials. Quick, and silent where it cannot know."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


def experiments(incomplete: str) -> list[str]:
    """Found as files: to import them takes seconds."""
    return sorted(found.name for found in pkgutil.iter_modules(_folders()) if found.name.startswith(incomplete))


def to_run(incomplete: str) -> list[str]:
    """Experiments, and the specs that are ready beside them."""
    ready = [file.stem for folder in _folders() for file in Path(folder).glob("specs/*.yaml")]
    return sorted([*experiments(incomplete), *(name for name in ready if name.startswith(incomplete))])


def _folders() -> list[str]:
    spec = importlib.util.find_spec("experiments")
    return list(spec.submodule_search_locations or ()) if spec else []


def jobs(incomplete: str) -> list[str]:
    """The newest ones."""
    try:
        return [name for name in _jobs() if name.startswith(incomplete)]
    except Exception:  # a shell that completes has nowhere to tell an error
        return []


def trials(job: str) -> list[str]:
    """The numbers of a job's trials that have begun."""
    try:
        return _trials(job)
    except Exception:
        return []


def _jobs() -> list[str]:
    with _asked() as (api, store):
        return [job["name"] for job in api.jobs("", 100)] if api else [job.name for job in store.jobs(limit=100)]


def _trials(job: str) -> list[str]:
    with _asked() as (api, store):
        told = api.trials(job) if api else [event.data for event in store.trials(store.get(job).id)]
    return [str(trial["number"]) for trial in told]


@contextmanager
def _asked() -> Iterator[tuple[Any, Any]]:
    """The API that the settings name, or else the store of this machine: the other is None. Neither starts a thing."""
    from service.settings import Settings

    settings = Settings.read()
    if settings.address:
        from service.remote import HttpJobs

        api = HttpJobs(settings.address, settings.token)
        with closing(api):
            yield api, None
        return
    from service.jobs.store import open_store

    with closing(open_store(settings.store_url)) as store:
        yield None, store
