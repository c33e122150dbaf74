"""The routes under /v2. They are plain ASGI handlers: no pydantic looks at what goes by."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.endpoint.body import read_body
from service.endpoint.champion import Served
from service.endpoint.engine import Engine
from service.endpoint.oip import describe
from service.endpoint.oip.datatypes import HEADER_LENGTH
from service.endpoint.oip.request import read_request
from service.endpoint.oip.response import write_response
from service.endpoint.problem import ProblemError

Handler = Callable[[Request], Awaitable[Response]]


def routes(engine: Engine) -> list[Route]:
    """Every route of the protocol."""
    protocol = _Protocol(engine)
    fixed: list[tuple[str, str, Handler]] = [
        ("GET", "/v2", protocol.server),
        ("GET", "/v2/health/live", protocol.live),
        ("GET", "/v2/health/ready", protocol.ready),
        ("GET", "/v2/models/stats", protocol.statistics),
        ("POST", "/v2/repository/index", protocol.index),
    ]
    of_model: list[tuple[str, str, Handler]] = [
        ("GET", "", protocol.model),
        ("GET", "/ready", protocol.ready),
        ("GET", "/config", protocol.configuration),
        ("GET", "/stats", protocol.statistics),
        ("POST", "/infer", protocol.infer),
    ]
    under = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    of_model = [(method, base + path, handler) for base in under for method, path, handler in of_model]
    return [Route(path, handler, methods=[method]) for method, path, handler in [*fixed, *of_model]]


class _Protocol:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def server(self, _request: Request) -> Response:
        return JSONResponse(describe.server(installed_version("fusegpt")))

    async def live(self, _request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        served = self._served(request)
        return JSONResponse({"name": served.name, "ready": True})

    async def model(self, request: Request) -> Response:
        return JSONResponse(describe.model(self._served(request)))

    async def configuration(self, request: Request) -> Response:
        return JSONResponse(describe.configuration(self._served(request), self._engine.config.max_batch_size))

    async def statistics(self, request: Request) -> Response:
        served, line = self._served(request), self._engine.watcher.lineup
        beside = line.challenger if line.challenger and not self._version(request) else None
        totals = await self._engine.totals()
        return JSONResponse(describe.statistics(served, totals, beside, line.rollout))

    async def index(self, request: Request) -> Response:
        asked = await read_body(request.headers, request.stream(), self._engine.config)
        try:
            only_ready = bool(json.loads(asked or b"{}").get("ready", False))
        except (ValueError, AttributeError, RecursionError):
            raise ProblemError(400, 'send {} or {"ready": true}') from None
        return JSONResponse(describe.index(self._engine.watcher, only_ready))

    async def infer(self, request: Request) -> Response:
        engine, headers = self._engine, request.headers
        with engine.counted("oip") as count:
            count.served = served = self._chosen(request)
            body = await engine.read(lambda: read_body(headers, request.stream(), engine.config))
            header = headers.get(HEADER_LENGTH, "")
            asked, answer = await engine.answer(
                served, lambda: read_request(body.value, header, served.signature, engine.config), body.seconds
            )
            told = _told(answer.stages_s, answer.batch_size)
            with engine.metrics.timed(answer.served, "respond"):
                content, sent = write_response(answer.served, asked, answer.values, told)
            count.answered(answer.served, len(answer.values))
        return Response(content, headers=sent)

    def _served(self, request: Request) -> Served:
        """The model that the path names, else the champion. Raises ProblemError: 404 for another, 503 for none yet."""
        return self._engine.chosen({}, self._version(request) or str(self._engine.served().version))

    def _chosen(self, request: Request) -> Served:
        """Who answers: the version that the path names, or who is drawn."""
        return self._engine.chosen(request.headers, self._version(request))

    def _version(self, request: Request) -> str:
        name, asked = self._engine.watcher.name, request.path_params
        if asked.get("name", name) != name:
            raise ProblemError(404, f"there is no model {asked['name'][:80]!r} here; {name} is served")
        return str(asked.get("version", ""))


def _told(stages_s: dict[str, float], batch_size: int) -> dict[str, Any]:
    """Milliseconds of each stage, and with how many samples it was predicted."""
    return {**{f"{stage}_ms": round(1000 * value, 3) for stage, value in stages_s.items()}, "batch_size": batch_size}
