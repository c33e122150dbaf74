"""`ProblemError`: an error as the client gets it, RFC 9457 problem+json that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from fusegpt.signature import InputError


class ProblemError(Exception):
    """A request that is not answered: the status, what was wrong and what would be right."""

    def __init__(
        self,
        status: int,
        detail: str,
        field: str = "",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self) -> JSONResponse:
        """The problem as an HTTP answer."""
        title = HTTPStatus(self.status).phrase
        body: dict[str, Any] = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        if self.field:
            body["field"] = self.field
        return JSONResponse(body | self.extra, self.status, self.headers, media_type="application/problem+json")

    def oip_response(self) -> JSONResponse:
        """The problem as the Open Inference Protocol has it: its message under `error`. The field comes beside it."""
        body = {"error": str(self), "field": self.field} if self.field else {"error": str(self)}
        return JSONResponse(body | self.extra, self.status, self.headers)


def in_words_of(path: str, problem: ProblemError) -> JSONResponse:
    """The problem in the words of the protocol that is spoken at a path."""
    return problem.oip_response() if path == "/v2" or path.startswith("/v2/") else problem.response()


class FieldError(InputError):
    """An input that is wrong in a way that has its own status: 413 too large, 415 a format that is not read."""

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(field, message)
        self.status = status


def of_inputs(errors: list[InputError]) -> ProblemError:
    """One problem for all wrong fields of a request; the first one gives the status."""
    first = errors[0]
    status = first.status if isinstance(first, FieldError) else HTTPStatus.UNPROCESSABLE_ENTITY
    listed = [{"field": error.field, "detail": error.message} for error in errors]
    return ProblemError(status, first.message, first.field, extra={"errors": listed} if len(errors) > 1 else None)
