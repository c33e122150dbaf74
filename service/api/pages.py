"""The service's own pages: jobs at `/`, as they go and under control, and the API's description at `/docs`.

Pages without data: what they show they ask the API for, with the token that a person enters. Nothing of them comes from
elsewhere, and the browser runs nothing that is written into them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import FileResponse, Response

from service import endpoint
from service.api.access import Viewer
from service.api.jobs import Id
from service.api.problems import problems
from service.api.services import Use
from service.api.wire import CallerView, Links, RunLink
from service.commands.reach import answers
from service.endpoint.problem import ProblemError
from service.tracking import History

router = APIRouter()

STATIC = Path(__file__).parent / "static"
# What an interface's description is drawn by is the endpoint's.
SHARED = Path(endpoint.__file__).parent / "static" / "operations.js"
FILES = {file.name: file for file in (*sorted(STATIC.glob("*.css")), *sorted(STATIC.glob("*.js")), SHARED)}
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


@router.get("/docs", include_in_schema=False)
def docs() -> Response:
    """The API's description, drawn from /openapi.json; needs no token either."""
    return FileResponse(STATIC / "docs.html", headers=HEADERS)


@router.get("/static/{name}", include_in_schema=False)
def static(name: Annotated[str, InPath()]) -> Response:
    """What the pages are made of."""
    if name not in FILES:
        raise ProblemError(404, f"there is no {name!r}; there are {', '.join(FILES)}")
    return FileResponse(FILES[name], headers=HEADERS)


@router.get("/v1/links", tags=["health"], responses=problems())
def links(use: Use, _: Viewer) -> Links:
    """Where else to look: MLflow's pages, and the endpoint of the champion."""
    settings = use.settings
    served = f"http://{settings.host}:{settings.port}"
    return Links(mlflow=_without_login(settings.tracking_uri), endpoint=served if answers(served, 0.5) else "")


@router.get("/v1/caller", tags=["health"], responses=problems())
def caller(present: Viewer) -> CallerView:
    """Who asks, and what they may do."""
    return CallerView(name=present.name, role=present.role)


@router.get("/v1/jobs/{job}/run", tags=["jobs"], responses=problems(404))
def run(job: Id, use: Use, _: Viewer) -> RunLink:
    """Where MLflow has a job's search."""
    row = History(use.settings).find(use.store.get(job).name)
    server = _without_login(use.settings.tracking_uri)
    page = f"{server.rstrip('/')}/#/experiments/{row.experiment_id}/runs/{row.run_id}" if server else ""
    return RunLink(run_id=row.run_id, url=page)


def _without_login(uri: str) -> str:
    """A web address as others may see it; empty for what is none."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
