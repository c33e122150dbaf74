"""The pages for people: try the model, and read its interface. Nothing of them comes from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
# The browser fetches from nowhere else and runs nothing that is written into a page.
POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


def routes() -> list[BaseRoute]:
    """`/`, `/docs` and what they are made of."""
    return [
        Route("/", _page("index.html"), include_in_schema=False),
        Route("/docs", _page("docs.html"), include_in_schema=False),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(_request: Request) -> Response:
        return FileResponse(STATIC / name, headers=HEADERS)

    return page
