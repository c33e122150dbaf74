"""`Services`: what the routes work with, handed to them by the app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

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


Use = Annotated[Services, Depends(_services)]
