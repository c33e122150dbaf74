"""The endpoint as a client sees it, in process: no Ray, no sockets."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S, wait_for
from PIL import Image
from starlette.testclient import TestClient
from tiny_model import SIGNATURE, Shelf, TinyPredictor, form, png, sweep

from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.form import read_form
from service.endpoint.problem import ProblemError
from service.endpoint.watcher import Watcher

Ask = Callable[..., Any]
BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def refusal(answer: Any, status: int, field: str) -> str:
    """The detail of a problem, after checking that it is the one expected."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json().get("field", "") == field
    return str(answer.json()["detail"])


def test_a_right_request_is_answered_under_the_signatures_names(ask: Ask) -> None:
    answer = ask()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["waypoints"] == [[20.0, 1.5]] * 4
    assert body["steer"] == 50.0
    assert body["model"] == {"name": "tiny", "version": 1}
    assert set(body["timings_ms"]) == {"read", "decode", "queue", "predict"}


def test_numbers_may_be_written_as_json_or_with_commas(ask: Ask) -> None:
    for written in ("20.0,1.5", "[20, 1.5]", " 20 , 1.5 ", "[[20, 1.5]]"):
        assert ask(target_point=(None, written)).json()["waypoints"][0] == [20.0, 1.5]


def test_a_sweep_may_be_npy_in_any_float_and_order(ask: Ask) -> None:
    points = np.arange(40, dtype=np.float64).reshape(10, 4)
    for array in (points, np.asfortranarray(points), points.astype(np.float32)):
        assert ask(sweep=("s.npy", npy(array))).json()["steer"] == 10.0


def test_a_jpeg_and_a_grey_picture_are_read(ask: Ask) -> None:
    assert ask(image=("f.jpg", png(kind="JPEG"))).status_code == 200
    assert ask(image=("f.png", png(mode="L"))).status_code == 200


@pytest.mark.parametrize("field", ["image", "sweep", "speed_mps", "target_point"])
def test_a_missing_field_is_named(ask: Ask, field: str) -> None:
    assert "is missing" in refusal(ask(**{field: None}), 422, field)


def test_an_unknown_field_is_named_with_the_nearest_right_one(ask: Ask) -> None:
    detail = refusal(ask(sped_mps=(None, "1")), 422, "sped_mps")
    assert "did you mean speed_mps?" in detail


def test_all_wrong_fields_are_told_at_once(ask: Ask) -> None:
    body = ask(image=None, speed_mps=(None, "fast")).json()
    assert [error["field"] for error in body["errors"]] == ["image", "speed_mps"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("fast", "not a number"),
        ("", "not a number"),
        ("NaN", "NaN"),
        ("Infinity", "infinity"),
        ("1e39", "too large"),
        ("true", "not a number"),
        ('"5"', "not a number"),
        ("null", "not a number"),
        ("{}", "not a number"),
        ("[1, 2]", "shape (2)"),
        ("[[1], [2, 3]]", "not a number"),
        ("[" * 60, "not a number"),
        ("9" * 90, "not a number"),
    ],
)
def test_a_wrong_number_is_refused_by_field(ask: Ask, written: str, said: str) -> None:
    assert said in refusal(ask(speed_mps=(None, written)), 422, "speed_mps")


def test_a_longer_text_than_the_numbers_take_is_too_large(ask: Ask) -> None:
    assert "500 bytes" in refusal(ask(speed_mps=(None, "1" * 500)), 413, "speed_mps")


def test_a_sweep_of_a_broken_length_says_the_length_of_a_point(ask: Ask) -> None:
    assert "16 bytes each" in refusal(ask(sweep=("s.bin", sweep()[:-3])), 422, "sweep")


def test_a_sweep_without_points_is_refused(ask: Ask) -> None:
    assert "no points" in refusal(ask(sweep=("s.bin", b"")), 422, "sweep")


def test_a_nan_in_a_sweep_is_told_by_its_point(ask: Ask) -> None:
    points = np.zeros((10, 4), np.float32)
    points[7, 2] = np.nan
    assert "point 7" in refusal(ask(sweep=("s.bin", points.tobytes())), 422, "sweep")
    too_far = np.full((2, 4), 1e300)
    assert "point 0" in refusal(ask(sweep=("s.npy", npy(too_far))), 422, "sweep")


def test_a_sweep_over_the_limit_is_too_large(ask: Ask) -> None:
    assert "the limit is 1000" in refusal(ask(sweep=("s.bin", sweep(1001))), 413, "sweep")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[{}, 1, 2, 3]], dtype=object), "object"),
        (np.zeros((5, 4), np.int32), "int32"),
        (np.zeros((5, 3), np.float32), "shape (5, 3)"),
        (np.zeros(20, np.float32), "shape (20,)"),
        (np.zeros((5, 4), np.complex64), "complex64"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), "a"),
    ],
)
def test_an_npy_of_another_type_or_shape_is_refused(ask: Ask, array: np.ndarray[Any, Any], said: str) -> None:
    assert said in refusal(ask(sweep=("s.npy", npy(array))), 422, "sweep")


def test_an_npy_that_declares_more_than_it_holds_reserves_nothing(ask: Ask) -> None:
    lying = npy(np.zeros((5, 4), np.float32)).replace(b"(5, 4), }         ", b"(999999999, 4), } ")
    assert "declares" in refusal(ask(sweep=("s.npy", lying)), 422, "sweep")


def test_an_npy_with_a_huge_header_is_refused(ask: Ask) -> None:
    huge = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2_000_000) + b" " * 2_000_000
    assert "header" in refusal(ask(sweep=("s.npy", huge)), 422, "sweep")


def test_a_file_named_npy_that_is_none_is_refused(ask: Ask) -> None:
    assert "no .npy" in refusal(ask(sweep=("s.npy", sweep())), 422, "sweep")


def test_a_picture_in_another_format_is_refused(ask: Ask) -> None:
    for wrong in (("f.gif", png(kind="GIF", mode="L")), ("f.png", b"no picture")):
        assert "send a PNG or JPEG" in refusal(ask(image=wrong), 415, "image")
    assert "I;16" in refusal(ask(image=("f.png", png(mode="I;16"))), 415, "image")


def test_a_truncated_picture_is_refused(ask: Ask) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    assert "broken" in refusal(ask(image=("f.png", file.getvalue()[:2000])), 422, "image")


def declared(width: int, height: int) -> bytes:
    """A PNG that declares any size and holds a line of zeros, compressed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1000, 1000), (12_000, 9_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_declares_too_many_pixels_is_not_decoded(ask: Ask, size: tuple[int, int]) -> None:
    assert "pixels" in refusal(ask(image=("f.png", declared(*size))), 413, "image")


def test_what_the_predictor_refuses_is_the_clients_error(ask: Ask) -> None:
    assert "negative" in refusal(ask(speed_mps=(None, "-1")), 422, "speed_mps")


def test_another_content_type_is_refused(client: TestClient) -> None:
    assert "multipart/form-data" in refusal(client.post("/v1/predict", json={}), 415, "")
    refusal(client.post("/v1/predict", content=b"x"), 415, "")


@pytest.mark.parametrize("body", [b"", b"--b\r\n", b"--c\r\n\r\n--c--", b"--b\r\n\r\nx\r\n--b--\r\n", b"\x00" * 100])
def test_a_broken_form_is_a_bad_request(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert "the form is broken" in refusal(client.post("/v1/predict", content=body, headers=headers), 400, "")


def test_a_form_without_a_boundary_is_a_bad_request(client: TestClient) -> None:
    answer = client.post("/v1/predict", content=b"x", headers={"content-type": "multipart/form-data"})
    assert "boundary" in refusal(answer, 400, "")


def test_a_field_given_twice_is_refused(client: TestClient) -> None:
    fields = [*form().items(), ("speed_mps", (None, "1"))]
    assert "given twice" in refusal(client.post("/v1/predict", files=fields), 400, "speed_mps")


def test_a_body_over_the_limit_is_cut_off_while_it_streams(config: EndpointConfig) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="sweep"\r\n\r\n'
        while True:
            sent += 1
            yield bytes(2**20)

    with pytest.raises(ProblemError) as caught:
        asyncio.run(read_form({"content-type": "multipart/form-data; boundary=b"}, endless(), config))
    assert caught.value.status == 413
    assert sent == 4  # MiB, the limit: the fourth comes after a header


def test_a_body_that_declares_to_be_too_large_is_not_read(client: TestClient) -> None:
    large = form(sweep=("s.bin", bytes(5 * 2**20)))
    assert "larger than 4 MiB" in refusal(client.post("/v1/predict", files=large), 413, "")


def test_an_unknown_path_is_a_problem_too(client: TestClient) -> None:
    assert refusal(client.get("/v1/nothing"), 404, "") == "Not Found"
    assert refusal(client.get("/v1/predict"), 405, "") == "Method Not Allowed"


def test_without_a_champion_it_is_alive_but_not_ready_and_starts_when_one_appears(
    client_of: Callable[[Engine], TestClient], config: EndpointConfig
) -> None:
    shelf = Shelf(number=None)
    engine = Engine(Watcher("tiny", shelf, config, load=lambda _: TinyPredictor()), config)
    client = client_of(engine)
    assert client.get("/healthz").status_code == 200
    assert "no champion yet" in refusal(client.get("/readyz"), 503, "")
    assert "no champion yet" in refusal(client.post("/v1/predict", files=form()), 503, "")
    shelf.number = 3
    engine.watcher.poll()
    assert client.get("/readyz").json()["version"] == 3
    assert client.post("/v1/predict", files=form()).json()["model"]["version"] == 3


@pytest.fixture
def client_of() -> Iterator[Callable[[Engine], TestClient]]:
    opened: list[TestClient] = []

    def open_client(engine: Engine) -> TestClient:
        client = TestClient(create_app(engine))
        client.__enter__()
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


def test_the_model_tells_its_signature(client: TestClient) -> None:
    body = client.get("/v1/model").json()
    assert (body["name"], body["version"], body["refused"]) == ("tiny", 1, None)
    assert body["signature"] == SIGNATURE.model_dump(mode="json")


def test_a_refused_version_is_told_while_the_old_one_stays_ready(
    client_of: Callable[[Engine], TestClient], config: EndpointConfig, shelf: Shelf
) -> None:
    predictors = {"1": TinyPredictor(), "2": TinyPredictor(float("nan"))}
    engine = Engine(Watcher("tiny", shelf, config, load=lambda folder: predictors[folder.name]), config)
    client = client_of(engine)
    shelf.number = 2
    engine.watcher.poll()
    for route in ("/readyz", "/v1/model"):
        body = client.get(route).json()
        assert body["version"] == 1
        assert body["refused"]["version"] == 2
        assert "not finite" in body["refused"]["reason"]
    assert client.post("/v1/predict", files=form()).json()["model"]["version"] == 1


def test_the_docs_describe_the_fields_of_this_signature(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(schema["required"]) == {"image", "sweep", "speed_mps", "target_point"}
    assert "metres per second" in schema["properties"]["speed_mps"]["description"]
    assert "waypoints" in operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert client.get("/docs").status_code == 200


def test_a_model_that_answers_nan_is_the_endpoints_fault_and_says_so(
    client_of: Callable[[Engine], TestClient], config: EndpointConfig, shelf: Shelf
) -> None:
    predictor = TinyPredictor()
    engine = Engine(Watcher("tiny", shelf, config, load=lambda _: predictor), config)
    client = client_of(engine)
    predictor.factor = float("nan")
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    assert "the endpoint failed" in refusal(client.post("/v1/predict", files=form()), 500, "")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(["image", "sweep", "speed_mps", "target_point"]),
    content=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda tail: png()[:60] + tail),
        st.binary(max_size=200).map(lambda tail: png(kind="JPEG")[:150] + tail),
        st.binary(max_size=200).map(lambda tail: b"\x93NUMPY" + tail),
        st.binary(max_size=60).map(lambda tail: npy(np.zeros((2, 4), np.float32))[:80] + tail),
        st.text(alphabet='0123456789.,-+eE[]{}" nulltrf', max_size=80).map(str.encode),
    ),
    name=st.sampled_from(["f.png", "f.npy", "f.bin", ""]),
)
def test_no_bytes_in_any_field_make_the_endpoint_fail(ask: Ask, field: str, content: bytes, name: str) -> None:
    answer = ask(**{field: (name, content)})
    assert answer.status_code in (200, 400, 413, 415, 422), answer.text
    if answer.status_code != 200:
        assert answer.json()["field"] == field


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=400), header=st.text(max_size=40))
def test_no_body_and_no_header_make_the_endpoint_fail(client: TestClient, body: bytes, header: str) -> None:
    for kind in ("multipart/form-data; boundary=b", f"multipart/form-data; {header}"):
        sent = {"content-type": kind.encode("utf-8", "replace").replace(b"\r", b" ").replace(b"\n", b" ")}
        for content in (body, b"--b\r\n" + body, b'--b\r\nContent-Disposition: form-data; name="a"\r\n' + body):
            answer = client.post("/v1/predict", content=content, headers=sent)
            assert answer.status_code in (400, 413, 415, 422), answer.text


class Stuck(TinyPredictor):
    """Answers once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def predict(self, inputs: Any) -> Any:
        assert self.go.wait(PATIENCE_S)
        return super().predict(inputs)


@pytest.fixture
def stuck(client_of: Callable[[Engine], TestClient]) -> Iterator[tuple[Stuck, Engine, TestClient]]:
    """A model that does not answer, behind a queue of two."""
    predictor = Stuck()
    config = EndpointConfig(max_queue=2, timeout_s=PATIENCE_S, max_batch_size=1)
    engine = Engine(Watcher("tiny", Shelf(), config, load=lambda _: predictor), config)
    client = client_of(engine)
    predictor.go.clear()
    yield predictor, engine, client
    predictor.go.set()


def test_beyond_the_queue_a_request_is_turned_away_with_a_time_to_come_back(
    stuck: tuple[Stuck, Engine, TestClient],
) -> None:
    predictor, _, client = stuck
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/v1/predict", files=form()) for _ in range(2)]
        wait_for(lambda: 'fusegpt_queue_requests{model="tiny"} 2.0' in client.get("/metrics").text)
        turned_away = client.post("/v1/predict", files=form())
        predictor.go.set()
        assert [answer.result().status_code for answer in waiting] == [200, 200]
    assert "2 requests are waiting already" in refusal(turned_away, 503, "")
    assert turned_away.headers["retry-after"] == "1"
    assert client.post("/v1/predict", files=form()).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_is_free_again(
    stuck: tuple[Stuck, Engine, TestClient],
) -> None:
    predictor, engine, client = stuck
    patient = engine.config
    engine.config = patient.model_copy(update={"timeout_s": 0.1})
    for _ in range(3):  # more than the queue holds
        assert "within 0.1 s" in refusal(client.post("/v1/predict", files=form()), 504, "")
    engine.config = patient
    predictor.go.set()
    assert client.post("/v1/predict", files=form()).status_code == 200


def test_a_client_that_does_not_send_its_request_is_given_up(config: EndpointConfig) -> None:
    config = config.model_copy(update={"read_timeout_s": 0.05})
    engine = Engine(Watcher("tiny", Shelf(), config, load=lambda _: TinyPredictor()), config)

    async def never() -> AsyncIterator[bytes]:
        yield b"--b"
        await asyncio.Event().wait()

    with pytest.raises(ProblemError) as caught:
        asyncio.run(engine.read(lambda: read_form(BOUNDARY, never(), config)))
    assert (caught.value.status, caught.value.headers) == (408, {"Connection": "close"})


def test_a_client_that_goes_away_while_it_sends_is_counted_and_does_no_harm(client: TestClient, engine: Engine) -> None:
    async def half() -> None:
        messages = iter([{"type": "http.request", "body": b"--b", "more_body": True}, {"type": "http.disconnect"}])
        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "root_path": ""}
        headers = [(b"content-type", b"multipart/form-data; boundary=b")]

        async def receive() -> Any:
            return next(messages)

        async def send(_message: Any) -> None:
            pass

        await create_app(engine)({**scope, "headers": headers}, receive, send)

    asyncio.run(half())
    assert 'reason="client_gone"' in client.get("/metrics").text
    assert client.post("/v1/predict", files=form()).status_code == 200
