"""The Python client, against the real app behind an in-process transport."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient
from tiny_model import SIGNATURE, Shelf, TextPredictor, TinyPredictor, png, sweep

from service.client import Client, EndpointError
from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.oip.writing import written
from service.endpoint.watcher import Watcher
from service.errors import ClusterUnreachable

RIGHT = {"image": png(), "sweep": sweep(), "speed_mps": 5.5, "target_point": (20.0, 1.5)}


@pytest.fixture
def asking(client: TestClient) -> Iterator[Client]:
    """The client of the service, its requests carried to the app without a socket."""

    with over(carried_by(client)) as asking:
        yield asking


def carried_by(client: TestClient) -> Any:
    def carry(request: httpx2.Request) -> httpx2.Response:
        answer = client.request(request.method, request.url.path, content=request.read(), headers=dict(request.headers))
        return httpx2.Response(answer.status_code, content=answer.content, headers=dict(answer.headers))

    return carry


def over(carry: Any) -> Client:
    client = Client("http://endpoint")
    client._http = httpx2.Client(base_url="http://endpoint", transport=httpx2.MockTransport(carry))
    return client


def test_a_prediction_comes_back_as_arrays_with_its_version(asking: Client) -> None:
    prediction = asking.predict(**RIGHT)
    np.testing.assert_array_equal(prediction.outputs["waypoints"], np.float32([[20.0, 1.5]] * 4))
    assert (prediction.name, prediction.version) == ("tiny", 1)


def test_files_and_arrays_may_be_sent(asking: Client, tmp_path: Path) -> None:
    image, points = tmp_path / "a b.png", tmp_path / "s.bin"
    image.write_bytes(png())
    points.write_bytes(sweep(7))
    assert asking.predict(**{**RIGHT, "image": image, "sweep": points}).outputs["steer"] == 7
    pixels = np.zeros((32, 64, 3), np.uint8)
    rows = np.ones((9, 4), np.float32)
    arrays = {"image": pixels, "sweep": rows, "speed_mps": np.float32(3), "target_point": np.zeros(2)}
    assert asking.predict(**arrays).outputs["steer"] == 9


def test_numbers_lie_aligned_in_the_body_whatever_comes_with_them() -> None:
    for text in ("", "abc", "a" * 7):
        inputs = {"image": np.zeros((5, 7, 3), np.uint8), "name": text, "sweep": np.ones((3, 4)), "speed_mps": 3}
        headers, body = written(SIGNATURE, inputs)
        start = int(headers["Inference-Header-Content-Length"])
        entries = json.loads(bytes(body[0]))["inputs"]
        assert start % 8 == 0
        assert [entry["datatype"] for entry in entries] == ["FP32", "FP32", "UINT8", "BYTES"]
        assert int(headers["Content-Length"]) == sum(len(part) for part in body)


@pytest.mark.parametrize(
    "wrong", [np.zeros(3, np.complex64), np.zeros((1, 4), np.int16), object(), "20,1.5", [[1], []]]
)
def test_what_cannot_be_sent_as_the_signature_says_is_refused_by_name(asking: Client, wrong: Any) -> None:
    with pytest.raises((EndpointError, ValueError), match="target_point"):
        asking.predict(**{**RIGHT, "target_point": wrong})


def test_text_goes_there_and_back(config: EndpointConfig) -> None:
    engine = Engine(Watcher("tiny", Shelf(), config, load=lambda _: TextPredictor()), config)
    with TestClient(create_app(engine)) as client, over(carried_by(client)) as asking:
        outputs = asking.predict(text="straße ", count=2).outputs
        assert (outputs["text"], outputs["length"]) == ("straße straße ", 14)
        with pytest.raises(EndpointError, match="count: has datatype FP32; send INT64"):
            asking.predict(text="a", count=np.float32(1.5))


def test_a_champion_with_another_signature_is_asked_in_its_own_terms(
    client: TestClient, asking: Client, engine: Engine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking.predict(**RIGHT)
    other = TinyPredictor()
    other.signature = SIGNATURE.model_copy(
        update={"inputs": (*SIGNATURE.inputs[:3], SIGNATURE.inputs[3].model_copy(update={"dtype": "int64"}))}
    )
    monkeypatch.setattr(engine.watcher, "_load", lambda _: other)
    shelf.number = 2
    engine.watcher.poll()
    assert client.get("/readyz").json()["version"] == 2
    assert asking.predict(**{**RIGHT, "target_point": (20, 1)}).version == 2


def test_a_refused_field_is_named_in_the_error(asking: Client) -> None:
    with pytest.raises(EndpointError, match=r"^sweep: .*16 bytes each") as caught:
        asking.predict(**{**RIGHT, "sweep": b"123"})
    assert (caught.value.status, caught.value.field) == (422, "sweep")


def test_the_model_and_its_readiness_are_told(asking: Client, shelf: Shelf) -> None:
    assert asking.ready()
    assert asking.model()["version"] == shelf.number


def test_a_lost_connection_is_tried_once_again() -> None:
    tries = 0

    def lose_one(_request: httpx2.Request) -> httpx2.Response:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise httpx2.RemoteProtocolError("server disconnected")
        return httpx2.Response(200, content=json.dumps({"name": "tiny"}))

    assert over(lose_one).model() == {"name": "tiny"}
    assert tries == 2


def test_an_endpoint_that_is_not_there_is_told_by_its_url() -> None:
    def refuse(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused")

    with pytest.raises(ClusterUnreachable, match="nothing answers at http://endpoint: connection refused"):
        over(refuse).model()
    assert not over(refuse).ready()


def test_an_answer_that_is_no_problem_json_is_shown_as_it_is() -> None:
    with pytest.raises(EndpointError, match="502: <html>"):
        over(lambda _: httpx2.Response(502, content="<html>")).model()
