"""A problem as gRPC tells it: a code, a message that names the field, and when to ask again."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode  # type: ignore[import-untyped]

from service.endpoint.problem import ProblemError

CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.INVALID_ARGUMENT,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}
MAX_CHARACTERS = 1000  # the message travels in a header, of which a client takes 8 KiB in all, three bytes a character


def refuse(context: Any, problem: ProblemError) -> None:
    """Set the status of a call (`RayServegRPCContext`). It is not raised: Serve would log each with a traceback."""
    context.set_code(CODES.get(problem.status, StatusCode.INTERNAL))
    context.set_details(message(problem))
    if "Retry-After" in problem.headers:
        context.set_trailing_metadata([("retry-after", problem.headers["Retry-After"])])


def message(problem: ProblemError) -> str:
    """What was wrong with every field that was."""
    errors = problem.extra.get("errors", [])
    told = "; ".join(f"{error['field']}: {error['detail']}" for error in errors) or str(problem)
    return told if len(told) <= MAX_CHARACTERS else told[: MAX_CHARACTERS - 4] + " ..."
