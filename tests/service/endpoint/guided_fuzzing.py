"""A program for atheris: bytes that lead the endpoint's readers where no request has been before.

    python guided_fuzzing.py CORPUS -max_total_time=20      (libFuzzer's options)

The first byte says which reader gets the rest. What a reader may raise is an error in words; anything else is a find,
which ends the program with the bytes that led there in a file.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["service.endpoint", "fusegpt.signature"]):
    from fusegpt.signature import InputError
    from service.endpoint.body import read_body
    from service.endpoint.config import EndpointConfig
    from service.endpoint.decode import decode
    from service.endpoint.form import read_form
    from service.endpoint.image import decode_image
    from service.endpoint.oip.request import read_request
    from service.endpoint.oip.writing import written
    from service.endpoint.problem import ProblemError
    from service.endpoint.sweep import decode_sweep

from tiny_model import SIGNATURE, form, png, sweep

CONFIG = EndpointConfig(max_body_mb=1, max_points=1000, max_image_mpx=0.5, max_batch_size=4)
IMAGE, SWEEP = SIGNATURE.inputs[:2]
BOUNDARY = "b"


def _request(data: bytes) -> None:
    read_request(bytearray(data[2:]), str(int.from_bytes(data[:2], "big")), SIGNATURE, CONFIG)


def _form(data: bytes) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    decode(_finished(read_form(headers, _chunks(data), CONFIG)), SIGNATURE, CONFIG)


def _image(data: bytes) -> None:
    decode_image(data, IMAGE, CONFIG)


def _sweep(data: bytes) -> None:
    decode_sweep(data, "a.npy" if data[:1] == b"\x93" else "a.bin", SWEEP, CONFIG)


def _packed(data: bytes) -> None:
    body = _finished(read_body({"content-encoding": "gzip"}, _chunks(data), CONFIG))
    assert len(body) <= CONFIG.max_body_bytes


READERS: list[Callable[[bytes], None]] = [_request, _form, _image, _sweep, _packed]


def one(data: bytes) -> None:
    """One input of the fuzzer."""
    with suppress(ProblemError, InputError):
        READERS[data[0] % len(READERS) if data else 0](data[1:])


def sow(corpus: Path) -> None:
    """Right requests, from which the fuzzer begins."""
    import gzip

    inputs: dict[str, Any] = {"image": png(), "sweep": sweep(), "speed_mps": 5.5, "target_point": (1.0, 0.0)}
    headers, parts = written(SIGNATURE, inputs)
    length = int(headers["Inference-Header-Content-Length"])
    body = length.to_bytes(2, "big") + b"".join(bytes(part) for part in parts)
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + _bytes(value)
        for name, value in form().items()
    ]
    right = [body, b"\r\n".join([*lines, f"--{BOUNDARY}--\r\n".encode()]), png(), sweep(), gzip.compress(b"{}")]
    for number, content in enumerate(right):
        (corpus / f"right{number}").write_bytes(bytes([number]) + content)


def _bytes(value: Any) -> bytes:
    content = value[1] if isinstance(value, tuple) else value
    return content if isinstance(content, bytes) else str(content).encode()


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 64):
        yield data[start : start + 64]


def _finished(reading: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that waits for nothing."""
    try:
        reading.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


if __name__ == "__main__":
    sow(Path(sys.argv[1]))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
