"""`Tokens`: who may ask the endpoint, by the same file of tokens as the job API; whoever is in it may.

Open to everybody stay the health, for load balancers, and the pages themselves, which hold nothing of the model.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fusegpt.config import SettingError
from service.api.access import Access
from service.endpoint.problem import ProblemError, in_words_of

OPEN = ("/", "/docs", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
OPEN_FOLDER = "/static/"


class Tokens:
    """ASGI middleware, before every route."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_open(scope["path"]):
            try:
                check_token(self._access, Headers(scope=scope).get("authorization", ""))
            except ProblemError as problem:
                return await in_words_of(scope["path"], problem)(scope, receive, send)
        return await self._app(scope, receive, send)


def check_token(access: Access, authorization: str) -> None:
    """Raises ProblemError: 401 for no token or one that is not known, 503 where the file cannot be read."""
    scheme, _, token = authorization.partition(" ")
    try:
        known = access.caller(token.strip() if scheme.lower() == "bearer" else "")
    except SettingError as error:
        raise ProblemError(503, str(error)) from None
    if known is None:
        told = "this token is not known" if token else "a bearer token is needed"
        # The rest of the request is not read.
        headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
        raise ProblemError(401, told, "Authorization", headers=headers)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDER)
