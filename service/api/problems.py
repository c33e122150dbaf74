"""Every error as RFC 9457 problem+json that names the dotted key, and how OpenAPI describes it."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fusegpt.config import SettingError
from service.api.wire import Problem
from service.endpoint.problem import ProblemError
from service.errors import ClusterUnreachable, NotFound, Refused, ServiceError

log = logging.getLogger(__name__)

STATUS: dict[type[ServiceError], int] = {NotFound: 404, Refused: 409, ClusterUnreachable: 503}
SAID = {
    400: "The body cannot be read.",
    401: "No token, or none that is known.",
    403: "The caller's role does not reach, or the job is somebody else's.",
    404: "There is no such thing.",
    409: "A conflict, or the gate says no.",
    413: "The body is too large.",
    422: "Something asked for is wrong; `field` names it.",
    503: "The job store, MLflow or the cluster does not answer.",
}


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for OpenAPI: those of every route, and `more`."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        code: {"description": SAID[code], "content": schema} for code in sorted({400, 401, 403, 413, 422, 503, *more})
    }


def add_problems(app: FastAPI) -> None:
    """Answer every error of the app as a problem, and describe it so."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(SettingError, _setting_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _our_fault)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response()


async def _service_error(_request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": "5"} if status == 503 else None
    return ProblemError(status, str(error), headers=headers).response()


async def _setting_error(_request: Request, error: Exception) -> Response:
    """One line a problem, each beginning with its dotted key."""
    return _of([_split(line) for line in str(error).splitlines()]).response()


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = []
    for problem in error.errors():
        place = [str(part) for part in problem["loc"][1:]]
        message = str(problem["msg"]).removeprefix("Value error, ")
        told.append((".".join(place), "is no key here" if problem["type"] == "extra_forbidden" else message))
    return _of(told).response()


def _split(line: str) -> tuple[str, str]:
    found = re.match(r"(?:spec: )?([A-Za-z_][\w.-]*): (.*)", line)
    return (found[1], found[2]) if found else ("", line)


def _of(told: list[tuple[str, str]]) -> ProblemError:
    field, detail = told[0]
    listed = [{"field": field, "detail": detail} for field, detail in told]
    return ProblemError(422, detail, field, extra={"errors": listed} if len(told) > 1 else None)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ProblemError(error.status_code, str(error.detail), headers=error.headers).response()


async def _our_fault(_request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return ProblemError(500, "the service failed on this request; its log has the cause").response()
