"""`create_app`: the API as an ASGI app, and the dispatcher that works while it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from fusegpt import __version__
from service.api import curves, experiments, jobs, models, pages, progress, searches, trials
from service.api.access import Access
from service.api.door import Door
from service.api.problems import add_problems
from service.api.query import only_known
from service.api.services import Services
from service.jobs.dispatcher import Dispatcher
from service.jobs.runner import JobRunner
from service.jobs.store import JobStore
from service.registry import Registry
from service.settings import Settings


def create_app(
    settings: Settings, store: JobStore, runner: JobRunner, registry: Registry, *, dispatch: bool = True
) -> FastAPI:
    """The API over these parts. `dispatch`: start queued jobs, too, for as long as the app stands.

    Raises SettingError where it would listen beyond this machine without tokens.
    """
    access = Access(settings)
    dispatcher = (
        Dispatcher(store, runner, settings.jobs, place_patience_s=60.0 * settings.placement_patience_minutes)
        if dispatch
        else None
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if dispatcher is not None:
            dispatcher.start()
        yield
        if dispatcher is not None:
            await run_in_threadpool(dispatcher.close)

    app = FastAPI(
        title="fusegpt",
        version=__version__,
        summary="Experiments as jobs.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(only_known)],
    )
    app.state.services = Services(settings, store, runner, registry, access)
    app.add_middleware(Door, same_site=not access.needs_token)
    for part in (jobs, trials, progress, curves, models, experiments, searches, pages):
        app.include_router(part.router)
    add_problems(app)

    @app.get("/healthz", tags=["health"])
    def healthz() -> dict[str, str]:
        """The process is alive; needs no token."""
        return {"status": "alive"}

    return app
