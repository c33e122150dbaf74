"""`Services`: what the routes work with, handed to them by the app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from anyio import from_thread
from fastapi import Depends, Request

from service.api.access import Access
from service.jobs.runner import JobRunner
from service.jobs.store import JobStore
from service.registry import Registry
from service.settings import Settings


@dataclass(frozen=True)
class Services:
    """The parts of one app."""

    settings: Settings
    store: JobStore
    runner: JobRunner
    registry: Registry
    access: Access


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def gone_from(request: Request) -> Callable[[], bool]:
    """Whether the caller has hung up: for the thread of a route that takes long."""
    return lambda: from_thread.run(request.is_disconnected)


Use = Annotated[Services, Depends(_services)]
