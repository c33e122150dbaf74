"""What the shell completes: names of experiments, ready specs and jobs. Quick, and silent where it cannot know."""

from __future__ import annotations

import importlib.util
import pkgutil
from pathlib import Path


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
