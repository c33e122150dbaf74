"""The routes under /v2. They are plain ASGI handlers: no pydantic looks at what goes by."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.endpoint.body import read_body
from service.endpoint.engine import Engine
from service.endpoint.oip.datatypes import HEADER_LENGTH
from service.endpoint.oip.models import Models, told
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
        self._models = Models(engine)

    async def server(self, _request: Request) -> Response:
        return JSONResponse(self._models.server())

    async def live(self, _request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        return JSONResponse({"name": self._models.served(*_named(request)).name, "ready": True})

    async def model(self, request: Request) -> Response:
        return JSONResponse(self._models.model(*_named(request)))

    async def configuration(self, request: Request) -> Response:
        return JSONResponse(self._models.configuration(*_named(request)))

    async def statistics(self, request: Request) -> Response:
        return JSONResponse(await self._models.statistics(*_named(request)))

    async def index(self, request: Request) -> Response:
        asked = await read_body(request.headers, request.stream(), self._engine.config)
        try:
            only_ready = bool(json.loads(asked or b"{}").get("ready", False))
        except (ValueError, AttributeError, RecursionError):
            raise ProblemError(400, 'send {} or {"ready": true}') from None
        return JSONResponse(self._models.index(only_ready))

    async def infer(self, request: Request) -> Response:
        engine, headers = self._engine, request.headers
        with engine.counted("oip") as count:
            count.served = served = self._models.chosen(headers, *_named(request))
            body = await engine.read(lambda: read_body(headers, request.stream(), engine.config))
            header = headers.get(HEADER_LENGTH, "")
            asked, answer = await engine.answer(
                served, lambda: read_request(body.value, header, served.signature, engine.config), body.seconds
            )
            parameters = told(answer.stages_s, answer.batch_size)
            with engine.metrics.timed(answer.served, "respond"):
                content, sent = write_response(answer.served, asked, answer.values, parameters)
            count.answered(answer.served, len(answer.values))
        return Response(content, headers=sent)


def _named(request: Request) -> tuple[str, str]:
    """The model and the version that the path names; empty for any."""
    return str(request.path_params.get("name", "")), str(request.path_params.get("version", ""))
