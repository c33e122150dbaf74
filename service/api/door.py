"""`Door`: what is turned away before any route sees it: bodies that are too large, and pages of other sites.

Without tokens, on loopback, whoever runs a program on this machine may use the API, but a web page that this machine's
browser has open may not: its requests carry another Host (a name made to point here) or another Origin.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import LOOPBACK
from service.endpoint.problem import ProblemError

BODY_LIMIT_BYTES = 256 * 1024


class Door:
    """ASGI middleware. `same_site`: turn away what comes from other sites' pages."""

    def __init__(self, app: ASGIApp, same_site: bool) -> None:
        self._app, self._same_site = app, same_site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            if self._same_site:
                _refuse_other_sites(Headers(scope=scope))
            body = await _body(Headers(scope=scope), receive)
        except ProblemError as problem:
            return await problem.response()(scope, receive, send)
        return await self._app(scope, _replay(body, receive), send)


def _refuse_other_sites(headers: Headers) -> None:
    host, origin = headers.get("host", ""), headers.get("origin")
    if urlsplit(f"//{host}").hostname not in LOOPBACK:
        raise ProblemError(403, f"{host!r} is not this machine; without tokens only http://127.0.0.1 is", "Host")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ProblemError(403, "pages of other sites may not use this API", "Origin")


async def _body(headers: Headers, receive: Receive) -> bytes:
    """The whole body. Raises ProblemError 413 as soon as it is known to be too large."""
    declared = headers.get("content-length", "")
    body, more = bytearray(), True
    while more:
        if len(body) > BODY_LIMIT_BYTES or (declared.isdigit() and int(declared) > BODY_LIMIT_BYTES):
            raise ProblemError(413, f"a body has {BODY_LIMIT_BYTES} bytes at most")
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if len(body) > BODY_LIMIT_BYTES:
        raise ProblemError(413, f"a body has {BODY_LIMIT_BYTES} bytes at most")
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
