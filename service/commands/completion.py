"""What the shell completes: names of experiments, of ready specs and of jobs. Quick, and silent where it cannot know."""

from __future__ import annotations

import importlib.util
import pkgutil
from pathlib import Path


def experiments(incomplete: str) -> list[str]:
    """Found as files: to import them takes seconds."""
    spec = importlib.util.find_spec("experiments")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    ready = [file.stem for folder in folders for file in Path(folder).glob("specs/*.yaml")]
    known = [*(found.name for found in pkgutil.iter_modules(folders)), *ready]
    return sorted(name for name in known if name.startswith(incomplete))


def jobs(incomplete: str) -> list[str]:
    """The newest ones."""
    try:
        return [name for name in _jobs() if name.startswith(incomplete)]
    except Exception:  # a shell that completes has nowhere to tell an error
        return []


def _jobs() -> list[str]:
    from service.settings import Settings

    settings = Settings.read()
    if settings.address:
        from service.remote import HttpJobs

        api = HttpJobs(settings.address, settings.token)
        try:
            return [job["name"] for job in api.jobs("", 100)]
        finally:
            api.close()
    from service.jobs.store import open_store

    store = open_store(settings.store_url)
    try:
        return [job.name for job in store.jobs(limit=100)]
    finally:
        store.close()
