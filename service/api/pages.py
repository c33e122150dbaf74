"""The service's own page at `/`: jobs as they go, the champions, and the way to MLflow and to the API's description.

A page without data: what it shows it asks the API for, with the token that a person enters. Nothing of it comes from
elsewhere, and the browser runs nothing that is written into it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import FileResponse, Response

from service.api.access import Viewer
from service.api.problems import problems
from service.api.services import Use
from service.api.wire import Links
from service.commands.reach import answers
from service.endpoint.problem import ProblemError

router = APIRouter()

STATIC = Path(__file__).parent / "static"
FILES = ("page.css", "jobs.js")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
POLICY += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/", include_in_schema=False)
def page() -> Response:
    """The page; needs no token, for there is nothing in it yet."""
    return FileResponse(STATIC / "index.html", headers=HEADERS)


@router.get("/static/{name}", include_in_schema=False)
def static(name: Annotated[str, InPath()]) -> Response:
    """What the page is made of."""
    if name not in FILES:
        raise ProblemError(404, f"there is no {name!r}; there are {', '.join(FILES)}")
    return FileResponse(STATIC / name, headers=HEADERS)


@router.get("/v1/links", tags=["health"], responses=problems())
def links(use: Use, _: Viewer) -> Links:
    """Where else to look: MLflow's pages, and the endpoint of the champion."""
    settings = use.settings
    endpoint = f"http://{settings.host}:{settings.port}"
    return Links(mlflow=_without_login(settings.tracking_uri), endpoint=endpoint if answers(endpoint, 0.5) else "")


def _without_login(uri: str) -> str:
    """A web address as others may see it; empty for what is none."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
