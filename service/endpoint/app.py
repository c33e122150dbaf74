"""The routes of the endpoint. All they know of the model is its signature."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.api.access import Access
from service.endpoint import attention, multipart, pages, try_out
from service.endpoint.engine import Engine
from service.endpoint.oip import routes as oip
from service.endpoint.problem import ProblemError, in_words_of
from service.endpoint.schema import describe
from service.endpoint.tokens import Tokens

log = logging.getLogger(__name__)


def create_app(engine: Engine, access: Access | None = None) -> FastAPI:
    """The endpoint as an ASGI app; its lifespan starts and closes the engine. Without `access` everybody may ask."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.close()

    app = FastAPI(title=engine.watcher.name, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _query_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _our_fault)
    if access is not None and access.needs_token:
        app.add_middleware(Tokens, access=access)
    _add_prediction(app, engine)
    attention.add_route(app, engine)
    _add_health(app, engine)
    app.router.routes.extend([*oip.routes(engine), *pages.routes()])
    described = app.openapi
    app.openapi = lambda: describe(described(), engine.watcher.served)  # type: ignore[method-assign]
    return app


def _add_prediction(app: FastAPI, engine: Engine) -> None:
    @app.post("/v1/predict", summary="Predict from one form")
    async def predict(request: Request) -> Response:
        return await multipart.predict(engine, request)

    @app.get("/v1/model", summary="What answers, and what was refused")
    async def model() -> dict[str, Any]:
        served = engine.served()
        return {
            "name": served.name,
            "version": served.version,
            "since": served.since,
            "metrics": served.metrics,
            "engine": getattr(served.predictor, "engine", "torch"),
            "signature": served.signature.model_dump(mode="json"),
            "refused": _refused(engine),
            "challenger": _challenger(engine),
        }

    @app.get("/v1/example", summary="A frame of the synthetic world to try the model with")
    async def example(number: int = 0) -> dict[str, Any]:
        if not try_out.can_make(engine.served().signature):
            raise ProblemError(404, "the synthetic world has no example for this model's inputs")
        return await asyncio.to_thread(try_out.make, number % try_out.FRAMES)


def _add_health(app: FastAPI, engine: Engine) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/metrics", summary="Counters for Prometheus, over all replicas")
    async def metrics() -> Response:
        return Response((await engine.totals()).text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/readyz", summary="A model is loaded, warm and answers")
    async def readyz() -> dict[str, Any]:
        served = engine.served()
        trouble = engine.watcher.trouble
        return {"status": "ready", "version": served.version, "refused": _refused(engine), "trouble": trouble}


def _refused(engine: Engine) -> dict[str, Any] | None:
    refused = engine.watcher.refused
    if refused is None:
        return None
    return {"version": refused.version, "reason": refused.reason, "attempts": refused.attempts}


def _challenger(engine: Engine) -> dict[str, Any] | None:
    line = engine.watcher.lineup
    if line.challenger is None or line.rollout is None:
        return None
    return {"version": line.challenger.version, **line.rollout.model_dump(mode="json")}


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _answer(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, ProblemError(error.status_code, str(error.detail), headers=error.headers))


async def _query_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _answer(request, ProblemError(422, str(first["msg"]), ".".join(str(part) for part in first["loc"])))


def _answer(request: Request, error: ProblemError) -> Response:
    return in_words_of(request.url.path, error)


async def _gone(_request: Request, _error: Exception) -> Response:
    """Nobody reads this answer: the client went away while it sent its request."""
    return Response(status_code=400)


async def _our_fault(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _answer(request, ProblemError(500, "the endpoint failed on this request; its log has the cause"))
