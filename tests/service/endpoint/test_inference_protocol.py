"""The protocol as it lies on the wire: lengths, packing and JSON that no client of good will sends."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tiny_model import SIGNATURE, png, sweep

from service.endpoint.config import EndpointConfig
from service.endpoint.oip.datatypes import pack_bytes, unpack_bytes
from service.endpoint.oip.request import read_request

LENGTH = "Inference-Header-Content-Length"
CONTENTS = {
    "image": ("UINT8", [1, 8, 16, 3], bytes(8 * 16 * 3)),
    "sweep": ("FP32", [1, 50, 4], sweep(50)),
    "speed_mps": ("FP32", [1, 1], np.float32(5.5).tobytes()),
    "target_point": ("FP32", [1, 2], np.float32([20, 1.5]).tobytes()),
}


def header(**changes: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a right binary request; `changes` go into the named inputs."""
    inputs = [
        {"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(content)}}
        | changes.get(name, {})
        for name, (kind, shape, content) in CONTENTS.items()
    ]
    return {"inputs": inputs, "parameters": {"binary_data_output": True}}


BINARY = b"".join(content for _, _, content in CONTENTS.values())


def post(client: TestClient, asked: Any, binary: bytes = BINARY, **headers: str) -> Any:
    text = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    return client.post("/v2/models/tiny/infer", content=text + binary, headers={LENGTH: str(len(text)), **headers})


def refusal(answer: Any, status: int) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    return str(answer.json()["error"])


def test_a_binary_answer_tells_where_its_json_ends(client: TestClient) -> None:
    answer = post(client, header())
    assert answer.status_code == 200, answer.text
    end = int(answer.headers[LENGTH])
    told = json.loads(answer.content[:end])
    assert [output["parameters"]["binary_data_size"] for output in told["outputs"]] == [32, 4]
    assert np.frombuffer(answer.content[end:], np.float32).tolist() == [20, 1.5] * 4 + [50]
    assert {"read_ms", "decode_ms", "queue_ms", "predict_ms", "batch_size"} == set(told["parameters"])


def test_binary_tensors_are_views_of_the_body_where_they_lie_aligned() -> None:
    asked = json.dumps(header()).encode()
    for padding in range(8):
        text = asked + b" " * padding
        body = bytearray(text + BINARY)
        read = read_request(body, str(len(text)), SIGNATURE, EndpointConfig())
        sample = read.samples[0]
        whole = np.frombuffer(body, np.uint8)
        assert np.shares_memory(sample["image"], whole)
        assert sample["sweep"].flags.aligned
        assert np.shares_memory(sample["sweep"], whole) == (len(text) % 4 == 0)


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999", "x", "²"])
def test_a_length_that_is_none_is_refused_by_the_header(client: TestClient, length: str) -> None:
    answer = client.post("/v2/models/tiny/infer", content=b"{}", headers={LENGTH: length.encode("latin-1")})
    assert LENGTH in refusal(answer, 400)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"sweep": {"shape": [1, 10**18, 4]}}, 413, "sweep: has shape (1000000000000000000, 4); the limit"),
        ({"sweep": {"shape": [1, 51, 4]}}, 422, "sweep: holds 800 bytes, its shape (1, 51, 4) needs 816"),
        ({"sweep": {"shape": [10**30, 50, 4]}}, 422, "sweep: holds 800 bytes"),
        ({"sweep": {"shape": [1, -1, 4]}}, 422, "sweep: needs a shape such as [-1, -1, 4]"),
        ({"sweep": {"shape": [True, 50, 4]}}, 422, "sweep: needs a shape"),
        ({"sweep": {"shape": None}}, 422, "sweep: needs a shape"),
        ({"sweep": {"datatype": {}}}, 422, "sweep: has datatype {}"),
        ({"sweep": {"parameters": {"binary_data_size": 10**12}}}, 400, "sweep: binary_data_size 1000000000000"),
        ({"sweep": {"parameters": {"binary_data_size": -1}}}, 400, "sweep: binary_data_size -1"),
        ({"sweep": {"parameters": {"binary_data_size": 1.5}}}, 400, "sweep: binary_data_size 1.5"),
        ({"sweep": {"parameters": []}}, 400, "sweep: parameters must be an object"),
        ({"sweep": {"parameters": {"shared_memory_region": "a"}}}, 400, "sweep: the parameter shared_memory_region"),
        ({"sweep": {"name": "image"}}, 400, "image: is given twice"),
        ({"sweep": {"name": 7}}, 400, "inputs: every tensor is an object with a name"),
        ({"target_point": {"parameters": {}}}, 400, "8 bytes of binary data belong to no input"),
        ({"image": {"datatype": "BYTES", "shape": [1]}}, 422, "image: 380 bytes are left after element 0"),
    ],
)
def test_a_tensor_that_does_not_add_up_is_named(
    client: TestClient, changes: dict[str, Any], status: int, said: str
) -> None:
    assert said in refusal(post(client, header(**changes)), status)


@pytest.mark.parametrize("asked", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff", b'{"inputs": 3}', b"7"])
def test_a_request_that_is_no_object_of_tensors_is_refused(client: TestClient, asked: bytes) -> None:
    said = refusal(post(client, asked, b""), 400)
    assert said.startswith(("the request ", "inputs: must be a list")), said


@pytest.mark.parametrize("data", [None, "x", {}, [[1], [2, 3]], ["a"], [True], [None], [1, 2], [float("nan")], [1e39]])
def test_json_data_that_is_not_the_numbers_is_refused_by_name(client: TestClient, data: Any) -> None:
    asked = header(speed_mps={"data": data, "parameters": {}})
    binary = b"".join(content for name, (_, _, content) in CONTENTS.items() if name != "speed_mps")
    assert refusal(post(client, asked, binary), 422).startswith("speed_mps: ")


@pytest.mark.parametrize(("kind", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_that_unpacks_beyond_the_limit_is_cut_off(client: TestClient, kind: str, pack: Any) -> None:
    bomb = pack(bytes(200 * 2**20))
    assert len(bomb) < 2**20
    answer = client.post("/v2/models/tiny/infer", content=bomb, headers={"content-encoding": kind})
    assert "larger than 4 MiB" in refusal(answer, 413)


@pytest.mark.parametrize(
    ("encoding", "content", "status", "said"),
    [
        ("gzip", b"no gzip", 400, "no gzip"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-4], 400, "ends too early"),
        ("deflate", zlib.compress(b"{}") + b"more", 400, "goes on after the end"),
        ("gzip", b"", 400, "ends too early"),
        ("br", b"{}", 415, "send gzip or deflate, or none"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    client: TestClient, encoding: str, content: bytes, status: int, said: str
) -> None:
    answer = client.post("/v2/models/tiny/infer", content=content, headers={"content-encoding": encoding})
    assert said in refusal(answer, status)


def test_other_paths_and_methods_are_refused_in_the_protocols_words(client: TestClient) -> None:
    assert refusal(client.get("/v2/nothing"), 404)
    assert refusal(client.get("/v2/models/tiny/infer"), 405)


def test_a_file_in_json_is_base64(client: TestClient) -> None:
    changed = {"image": {"datatype": "BYTES", "shape": [1], "data": ["?"], "parameters": {}}}
    assert "base64" in refusal(post(client, header(**changed), BINARY[8 * 16 * 3 :]), 422)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_bytes_elements_come_back_as_they_were(elements: list[bytes]) -> None:
    assert [bytes(element) for element in unpack_bytes(memoryview(pack_bytes(elements)), len(elements))] == elements


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(sorted(CONTENTS)),
    key=st.sampled_from(["name", "datatype", "shape", "data", "parameters"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("BYTES"),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["binary_data_size", "a"]), inner),
        max_leaves=6,
    ),
    binary=st.binary(max_size=80) | st.just(BINARY) | st.just(pack_bytes([png()])),
)
def test_nothing_in_a_tensor_makes_the_endpoint_fail(
    client: TestClient, field: str, key: str, value: Any, binary: bytes
) -> None:
    answer = post(client, header(**{field: {key: value}}), binary)
    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]
