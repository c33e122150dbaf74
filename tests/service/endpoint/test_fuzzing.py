"""Whatever is sent, the answer is a prediction or a 4xx in words: never a 500, never memory beyond the limits."""

from __future__ import annotations

import gzip
import io
import json
import re
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from patience import PATIENCE_S
from starlette.testclient import TestClient
from tiny_model import SIGNATURE, Shelf, TinyPredictor, form, png, sweep

from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.oip.datatypes import HEADER_LENGTH
from service.endpoint.oip.writing import written
from service.endpoint.watcher import Watcher

CONFIG = EndpointConfig(max_body_mb=1, max_points=1000, max_image_mpx=0.5, max_batch_size=4, timeout_s=PATIENCE_S)
RIGHT: dict[str, Any] = {"image": png(), "sweep": sweep(), "speed_mps": 5.5, "target_point": (1.0, 0.0)}
FAST = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(2**70) | st.just(-1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([*(tensor.name for tensor in SIGNATURE.inputs), "other", ""])
datatypes = st.sampled_from(["UINT8", "INT64", "FP32", "BYTES", "FP16", "", 7])
shapes = st.lists(st.integers(-2, 9) | st.sampled_from([2**31, 2**63, 10**30]), max_size=6) | json_values
tensors = st.fixed_dictionaries(
    {"name": names | json_values, "datatype": datatypes | json_values, "shape": shapes},
    optional={
        "data": json_values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-9, 2**70) | json_values}) | json_values,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=5) | json_values},
    optional={"outputs": json_values, "parameters": json_values, "id": json_values},
)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[TestClient]:
    """One endpoint for all examples; a bug of ours is an answer 500 here, as it is for a client."""
    engine = Engine(Watcher("tiny", Shelf(), CONFIG, lambda _: TinyPredictor()), CONFIG)
    with TestClient(create_app(engine), raise_server_exceptions=False) as client:
        yield client


def infer(client: TestClient, content: bytes, **headers: str) -> tuple[int, str]:
    answer = client.post("/v2/models/tiny/infer", content=content, headers=headers)
    if answer.status_code != 200:
        assert answer.json()["error"]
    return answer.status_code, answer.text


def told(status: int) -> bool:
    return status == 200 or 400 <= status < 500


@FAST
@given(asked=requests | json_values, binary=st.binary(max_size=200), length=st.none() | st.integers(-5, 400))
def test_any_json_with_any_binary_data_is_answered_or_told_what_is_wrong(
    fuzzed: TestClient, asked: Any, binary: bytes, length: int | None
) -> None:
    header = json.dumps(asked).encode()
    headers = {HEADER_LENGTH: str(len(header) if length is None else length)}
    assert told(infer(fuzzed, header + binary, **headers)[0])


@FAST
@given(content=st.binary(max_size=400), encoding=st.sampled_from(["", "gzip", "deflate", "br", "gzip, gzip"]))
def test_any_bytes_in_any_encoding_are_told_what_is_wrong(fuzzed: TestClient, content: bytes, encoding: str) -> None:
    assert 400 <= infer(fuzzed, content, **({"Content-Encoding": encoding} if encoding else {}))[0] < 500


@FAST
@given(data=st.data())
def test_a_right_binary_request_with_bytes_changed_or_cut_is_never_our_failure(
    fuzzed: TestClient, data: st.DataObject
) -> None:
    headers, parts = written(SIGNATURE, RIGHT)
    content = bytearray(b"".join(bytes(part) for part in parts))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    del headers["Content-Length"]
    assert told(infer(fuzzed, bytes(content[cut:] if data.draw(st.booleans()) else content), **headers)[0])


@FAST
@given(
    field=st.sampled_from(["image", "sweep", "speed_mps", "target_point"]),
    content=st.binary(max_size=300) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "surrogatepass")),
    name=st.sampled_from(["f.png", "f.bin", "f.npy", ""]),
)
def test_any_content_of_a_field_is_answered_or_told_by_the_fields_name(
    fuzzed: TestClient, field: str, content: bytes, name: str
) -> None:
    answer = fuzzed.post("/v1/predict", files=form(**{field: (name or None, content)}))
    assert told(answer.status_code), answer.text
    assert answer.status_code == 200 or field in answer.text


@FAST
@given(start=st.integers(8, 200), length=st.integers(0, 40), filler=st.binary(min_size=40, max_size=40))
def test_a_picture_with_a_hole_is_told_as_the_image(fuzzed: TestClient, start: int, length: int, filler: bytes) -> None:
    content = bytearray(png())
    content[start : start + length] = filler[:length]
    answer = fuzzed.post("/v1/predict", files=form(image=("f.png", bytes(content))))
    assert answer.status_code == 200 or answer.json()["field"] == "image"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred kilobytes at most that declares, and unpacks to, width x height grey pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = zlib.compress(bytes((width + 1) * min(height, 10_000)), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG whose comment unpacks to a hundred times its size."""
    content = b"Comment\0\0" + zlib.compress(bytes(60 * 2**20), 9)
    chunk = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    picture = png()
    return picture[:33] + chunk + picture[33:]


@pytest.mark.parametrize(
    ("picture", "status"), [(bomb(5000, 5000), 413), (bomb(60_000, 60_000), 413), (text_bomb(), 422)]
)
def test_a_picture_that_unpacks_to_far_more_than_it_is_is_refused_by_name(
    fuzzed: TestClient, picture: bytes, status: int
) -> None:
    assert len(picture) < CONFIG.max_body_bytes
    answer = fuzzed.post("/v1/predict", files=form(image=("f.png", picture)))
    assert (answer.status_code, answer.json()["field"]) == (status, "image")


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_a_body_that_unpacks_to_a_gigabyte_is_refused_before_it_is_unpacked(fuzzed: TestClient, kind: str) -> None:
    content = bytes(2**26)
    packed = gzip.compress(content, 9) if kind == "gzip" else zlib.compress(content, 9)
    assert len(packed) < CONFIG.max_body_bytes
    assert infer(fuzzed, packed, **{"Content-Encoding": kind})[0] == 413


@pytest.mark.parametrize(
    "shape", [[1, 2**62, 4], [2**32, 2**32, 4], [1, 10**30, 4], [1, -1, 4], [1, 0, 4], [1] * 40, [1, 1001, 4]]
)
def test_a_shape_that_declares_far_more_than_is_there_is_refused_by_name(fuzzed: TestClient, shape: list[int]) -> None:
    asked = {"inputs": [{"name": "sweep", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 16}}]}
    header = json.dumps(asked).encode()
    status, text = infer(fuzzed, header + bytes(16), **{HEADER_LENGTH: str(len(header))})
    assert status in (413, 422)
    assert "sweep" in text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["sweep", "speed_mps", "target_point"])
def test_nan_and_infinity_are_refused_by_name_in_binary_and_in_json(
    fuzzed: TestClient, field: str, value: float
) -> None:
    given = {**RIGHT, "sweep": np.frombuffer(sweep(), np.float32).reshape(-1, 4).copy()}
    given[field] = np.full_like(np.asarray(given[field], np.float32), value)
    headers, parts = written(SIGNATURE, given)
    status, text = infer(fuzzed, b"".join(bytes(part) for part in parts), **headers)
    assert (status, json.loads(text)["field"]) == (422, field)
    if field != "sweep":
        answer = fuzzed.post("/v1/predict", files=form(**{field: (None, json.dumps([value, value]))}))
        assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize("shape", [(2**40, 4), (2**62, 4), (-5, 4), (50, 2**60)])
def test_an_npy_file_that_declares_another_size_is_refused_before_memory_is_taken(
    fuzzed: TestClient, shape: tuple[int, ...]
) -> None:
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    answer = fuzzed.post("/v1/predict", files=form(sweep=("s.npy", file.getvalue() + bytes(64))))
    assert (answer.status_code, answer.json()["field"]) == (422, "sweep")


@pytest.mark.parametrize("header", [b'\xc0{"shape', b"{'descr': (\n", b"{\0}", b"[" * 200, b"0x" * 50])
def test_an_npy_file_whose_header_is_no_dict_is_refused_by_name(fuzzed: TestClient, header: bytes) -> None:
    content = npy.magic(1, 0) + struct.pack("<H", len(header)) + header + bytes(16)
    answer = fuzzed.post("/v1/predict", files=form(sweep=("s.npy", content)))
    assert (answer.status_code, answer.json()["field"]) == (422, "sweep")


def test_json_nested_beyond_reason_is_a_400(fuzzed: TestClient) -> None:
    assert infer(fuzzed, b"[" * 100_000)[0] == 400
    assert infer(fuzzed, b'{"inputs":' * 5000)[0] == 400


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_inputs_that_follow_the_readers_own_branches_find_nothing_either(tmp_path: Path) -> None:
    """By atheris, guided by coverage, for some inputs; run it for longer by hand after a change of a reader."""
    program = Path(__file__).parent / "guided_fuzzing.py"
    # A process begins with the largest memory of the one that started it: the limit is what comes on top.
    limit_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 + 1024
    command = [
        sys.executable,
        str(program),
        str(tmp_path),
        # A number of inputs, not of seconds: a slower machine tries the same ones.
        "-runs=100000",
        "-seed=1",
        f"-rss_limit_mb={limit_mb}",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    # What was raised is on the standard output; the other holds libFuzzer's own words.
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-500:]}"
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-3000:]
    assert int(runs[1]) > 1000
