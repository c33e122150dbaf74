"""The API as a server of its own: `serve(settings)`."""

from __future__ import annotations

import uvicorn

from service.api.app import create_app
from service.cluster.job_runner import RayJobRunner
from service.jobs.local_runner import LocalRunner
from service.jobs.runner import JobRunner
from service.jobs.store import open_store
from service.registry import Registry
from service.settings import Settings

GRACE_S = 3  # those who follow a job come back by themselves, with Last-Event-ID


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Jobs go on without it, and are found again.

    Raises SettingError where it would listen beyond this machine without tokens; ClusterUnreachable without a store.
    """
    store = open_store(settings.store_url)
    try:
        app = create_app(settings, store, _runner(settings), Registry(settings))
        uvicorn.run(
            app, host=settings.api_host, port=settings.api_port, timeout_graceful_shutdown=GRACE_S, log_level="warning"
        )
    finally:
        store.close()


def _runner(settings: Settings) -> JobRunner:
    """On the cluster where there is one; else beside this server."""
    return RayJobRunner(settings) if settings.ray_address else LocalRunner(settings)
