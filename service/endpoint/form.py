"""A multipart form, parsed while it arrives: what is too large is cut off before it is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.endpoint.body import check_declared, too_large
from service.endpoint.config import EndpointConfig
from service.endpoint.problem import ProblemError

MAX_BOUNDARY_LENGTH = 200


@dataclass
class Part:
    """One field of a form: its bytes, and the file name that the client gave."""

    name: str = ""
    filename: str = ""
    content: bytearray = field(default_factory=bytearray)


async def read_form(headers: Mapping[str, str], body: AsyncIterator[bytes], config: EndpointConfig) -> dict[str, Part]:
    """The fields of a multipart request by name.

    Raises ProblemError: 415 for another content type, 413 where the body is over the limit (before reading it where its
    length is declared), 400 where the form is broken or names a field twice.
    """
    collector = _Collector(config.max_parts)
    parser = MultipartParser(_boundary(headers.get("content-type", "")), collector.callbacks())  # type: ignore[arg-type]
    check_declared(headers, config)
    received = 0
    async for chunk in body:
        received += len(chunk)
        if received > config.max_body_bytes:
            raise too_large(config)
        try:
            parser.write(chunk)
        except MultipartParseError as error:
            raise ProblemError(400, f"the form is broken: {error}") from None
    if not collector.ended:
        raise ProblemError(400, "the form is broken: it ends before its closing boundary")
    return collector.parts


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        sent = kind.decode("latin-1")[:80] or "a request without a content type"
        raise ProblemError(415, f"send multipart/form-data, not {sent}")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise ProblemError(400, f"multipart/form-data needs a boundary of 1 to {MAX_BOUNDARY_LENGTH} characters")
    return boundary


class _Collector:
    """Receives the parser's events and puts the parts together."""

    def __init__(self, max_parts: int) -> None:
        self.parts: dict[str, Part] = {}
        self.ended = False
        self._max_parts = max_parts
        self._part = Part()
        self._header = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._keep,
            "on_part_data": lambda data, start, end: self._part.content.extend(memoryview(data)[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._part = Part()

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
            self._part.filename = options.get(b"filename", b"").decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _keep(self) -> None:
        name = self._part.name
        if not name:
            raise ProblemError(400, "the form is broken: a part has no name")
        if name in self.parts:
            raise ProblemError(400, "the field is given twice", name)
        if len(self.parts) >= self._max_parts:
            raise ProblemError(400, f"the form has more than {self._max_parts} fields")
        self.parts[name] = self._part

    def _end(self) -> None:
        self.ended = True
