"""A request's body, read into one buffer and never beyond the limit, whatever it claims to be or unpacks to."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping

from service.endpoint.config import EndpointConfig
from service.endpoint.problem import ProblemError

PACKED = ("gzip", "deflate")
EITHER = zlib.MAX_WBITS | 32  # zlib tells gzip's header from its own


async def read_body(headers: Mapping[str, str], stream: AsyncIterator[bytes], config: EndpointConfig) -> bytearray:
    """The body, unpacked where it came as gzip or deflate.

    Raises ProblemError: 413 where it is over the limit as sent or unpacked (before reading it where its length is
    declared), 415 for another encoding, 400 where it cannot be unpacked.
    """
    check_declared(headers, config)
    body = bytearray()
    add = _adder(headers.get("content-encoding", ""), body, config)
    async for chunk in stream:
        add.more(chunk)
    add.end()
    return body


def check_declared(headers: Mapping[str, str], config: EndpointConfig) -> None:
    """Raises ProblemError 413 where the declared length is over the limit."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > config.max_body_bytes:
        raise too_large(config)


def too_large(config: EndpointConfig) -> ProblemError:
    """413. The rest is not read, so the connection cannot go on."""
    detail = f"the request is larger than {config.max_body_mb:g} MiB"
    return ProblemError(413, detail, headers={"Connection": "close"})


def _adder(encoding: str, body: bytearray, config: EndpointConfig) -> _Plain:
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return _Plain(body, config)
    if kind in PACKED:
        return _Packed(kind, body, config)
    raise ProblemError(415, f"Content-Encoding {kind[:40]!r} is not read; send {' or '.join(PACKED)}, or none")


class _Plain:
    """Adds to the body what comes, up to the limit."""

    def __init__(self, body: bytearray, config: EndpointConfig) -> None:
        self._body = body
        self._config = config

    def more(self, chunk: bytes) -> None:
        if len(self._body) + len(chunk) > self._config.max_body_bytes:
            raise too_large(self._config)
        self._body += chunk

    def end(self) -> None:
        """The client has sent everything."""


class _Packed(_Plain):
    """Unpacks what comes, one byte beyond the limit at most."""

    def __init__(self, kind: str, body: bytearray, config: EndpointConfig) -> None:
        super().__init__(body, config)
        self._kind = kind
        self._unpack = zlib.decompressobj(EITHER)

    def more(self, chunk: bytes) -> None:
        room = self._config.max_body_bytes - len(self._body) + 1
        try:
            super().more(self._unpack.decompress(chunk, room))
        except zlib.error as error:
            raise ProblemError(400, f"the body is no {self._kind}: {error}") from None
        if self._unpack.unused_data:
            raise ProblemError(400, f"the body goes on after the end of its {self._kind} data")

    def end(self) -> None:
        if not self._unpack.eof:
            raise ProblemError(400, f"the {self._kind} body ends too early")
