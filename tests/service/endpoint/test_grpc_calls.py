"""Each call of the protocol over gRPC, from its bytes to its answer or its status, without a server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import Shelf, TextPredictor, TinyPredictor, png, sweep

pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from grpc import StatusCode  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from service.api.access import Access
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.problem import ProblemError
from service.endpoint.replica import Replica
from service.endpoint.rpc.calls import REFUSED, Calls
from service.endpoint.rpc.service import SERVICE, answer
from service.endpoint.rpc.status import message, refuse
from service.endpoint.watcher import Watcher
from service.registry import Rollout
from service.settings import Settings

TOKEN = "a-long-and-random-one"
ANN = {"authorization": f"Bearer {TOKEN}"}
RIGHT: dict[str, Any] = {
    "image": np.zeros((1, 32, 64, 3), np.uint8),
    "sweep": np.frombuffer(sweep(50), np.float32).reshape(1, 50, 4),
    "speed_mps": np.float32([[5.5]]),
    "target_point": np.float32([[20.0, 1.5]]),
}
TYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "float64": "FP64", "object": "BYTES"}
FIELDS = {"UINT8": "uint_contents", "INT64": "int64_contents", "FP32": "fp32_contents", "BYTES": "bytes_contents"}


class Context:
    """What Ray Serve hands to a method: the client's metadata, and the status to set."""

    def __init__(self, metadata: dict[str, str]) -> None:
        self._metadata = list(metadata.items())
        self.code: Any = StatusCode.OK
        self.details = ""
        self.trailing: list[tuple[str, str]] = []

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._metadata

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, trailing: list[tuple[str, str]]) -> None:
        self.trailing = trailing


Ask = Callable[..., tuple[Any, Context]]


def asking(predictor: Any, shelf: Shelf, access: Access | None = None, before: Sequence[tuple[str, Any]] = ()) -> Ask:
    """Asks an endpoint of its own: a call's name, its message or its bytes, and the metadata.

    Each is a new endpoint, which has answered what is `before`.
    """

    async def once(call: str, content: bytes, context: Context) -> Any:
        config = EndpointConfig(max_body_mb=4, max_points=50_000, max_image_mpx=0.5, max_batch_size=4, max_queue=4)
        engine = Engine(Watcher("tiny", shelf, config, load=lambda _: predictor), config)
        await engine.start()
        try:
            calls = Calls(engine, access or Access(Settings.read({}), "endpoint"))
            for earlier, asked in before:
                await calls(earlier, asked.SerializeToString(), Context({}))
            return await calls(call, content, context)
        finally:
            await engine.close()

    def ask(call: str, asked: Any = b"", metadata: dict[str, str] | None = None) -> tuple[Any, Context]:
        context = Context(metadata or {})
        content = asked if isinstance(asked, bytes) else asked.SerializeToString()
        return asyncio.run(once(call, content, context)), context

    return ask


@pytest.fixture
def ask() -> Ask:
    return asking(TinyPredictor(), Shelf(number=7))


@pytest.fixture
def ask_text() -> Ask:
    return asking(TextPredictor(), Shelf(number=2))


@pytest.fixture
def ask_guarded(tmp_path: Path) -> Ask:
    file = tmp_path / "tokens"
    file.write_text(f"ann viewer {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    return asking(TinyPredictor(), Shelf(number=7), Access(Settings.read({"FUSEGPT_TOKENS": str(file)}), "endpoint"))


def infer(arrays: dict[str, Any], *, raw: bool = True, **options: Any) -> Any:
    """A ModelInferRequest, its tensors raw or in the contents of their type."""
    asked = service_pb2.ModelInferRequest(**{"model_name": "tiny", **options})
    for name, array in arrays.items():
        filled = triton.InferInput(name, list(array.shape), TYPES[array.dtype.name])
        filled.set_data_from_numpy(array)
        tensor = asked.inputs.add()
        tensor.CopyFrom(filled._get_tensor())
        if raw:
            asked.raw_input_contents.append(filled._get_content())
        else:
            values = (
                [v if isinstance(v, bytes) else v.encode() for v in array.flat] if array.dtype == object else array.flat
            )
            getattr(tensor.contents, FIELDS[tensor.datatype]).extend(values)
    return asked


def outputs(answered: Any) -> dict[str, np.ndarray[Any, Any]]:
    result = triton.InferResult(answered)
    return {output.name: result.as_numpy(output.name) for output in answered.outputs}


@pytest.mark.parametrize("raw", [True, False])
def test_tensors_come_raw_or_in_the_contents_of_their_type(ask: Ask, raw: bool) -> None:
    answered, context = ask("ModelInfer", infer(RIGHT, raw=raw, id="a7"))
    assert (context.code, context.details) == (StatusCode.OK, "")
    assert (answered.id, answered.model_name, answered.model_version) == ("a7", "tiny", "7")
    np.testing.assert_array_equal(outputs(answered)["waypoints"], np.float32([[[20.0, 1.5]] * 4]))
    np.testing.assert_array_equal(outputs(answered)["steer"], np.float32([[50]]))
    assert answered.parameters["batch_size"].int64_param == 1
    assert answered.parameters["predict_ms"].double_param > 0


@pytest.mark.parametrize("raw", [True, False])
def test_text_and_whole_numbers_come_both_ways_too(ask_text: Ask, raw: bool) -> None:
    texts = np.array(["straßé 🚗", ""], object)
    answered, _ = ask_text("ModelInfer", infer({"text": texts, "count": np.int64([[2], [3]])}, raw=raw))
    assert [text.decode() for text in outputs(answered)["text"]] == ["straßé 🚗straßé 🚗", ""]
    assert outputs(answered)["length"].tolist() == [[len("straßé 🚗") * 2], [0]]


@pytest.mark.parametrize("raw", [True, False])
def test_an_image_and_a_sweep_may_come_as_their_files(ask: Ask, raw: bool) -> None:
    files = {**RIGHT, "image": np.array([png()], object), "sweep": np.array([[sweep(9)]], object)}
    assert outputs(ask("ModelInfer", infer(files, raw=raw))[0])["steer"] == 9


def test_only_the_outputs_that_were_asked_for_come_back(ask: Ask) -> None:
    asked = infer(RIGHT)
    asked.outputs.add(name="steer")
    assert list(outputs(ask("ModelInfer", asked)[0])) == ["steer"]
    asked.outputs.add(name="waypoint")
    assert "did you mean waypoints?" in ask("ModelInfer", asked)[1].details


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"sped_mps": np.float32([[1]])}, StatusCode.INVALID_ARGUMENT, "sped_mps: is no input of this model"),
        ({"speed_mps": None}, StatusCode.INVALID_ARGUMENT, "speed_mps: is missing"),
        ({"speed_mps": np.float64([[1]])}, StatusCode.INVALID_ARGUMENT, "speed_mps: has datatype FP64; send FP32"),
        ({"sweep": RIGHT["sweep"][0]}, StatusCode.INVALID_ARGUMENT, "sweep: has shape (50, 4) without the batch"),
        ({"sweep": np.zeros((1, 50_001, 4), np.float32)}, StatusCode.RESOURCE_EXHAUSTED, "sweep: the sweep has 50001"),
        ({"image": np.zeros((1, 1000, 501, 3), np.uint8)}, StatusCode.RESOURCE_EXHAUSTED, "image: the image has 501"),
        ({"image": np.array([b"no picture"], object)}, StatusCode.INVALID_ARGUMENT, "image: send a PNG or JPEG file"),
        ({"sweep": RIGHT["sweep"] * np.float32(np.nan)}, StatusCode.INVALID_ARGUMENT, "sweep: is NaN or infinite at"),
        ({"speed_mps": np.float32([[1], [2]])}, StatusCode.INVALID_ARGUMENT, "speed_mps: has the batch size 2, image"),
        ({"speed_mps": np.float32([[-1]])}, StatusCode.INVALID_ARGUMENT, "speed_mps: must not be negative"),
    ],
)
def test_a_wrong_tensor_is_named(ask: Ask, changed: dict[str, Any], code: Any, said: str) -> None:
    arrays = {name: array for name, array in {**RIGHT, **changed}.items() if array is not None}
    answered, context = ask("ModelInfer", infer(arrays))
    assert (context.code, said in context.details) == (code, True), context.details
    assert answered == service_pb2.ModelInferResponse()


def test_every_wrong_tensor_is_named_at_once(ask: Ask) -> None:
    changed = {**RIGHT, "speed_mps": np.float32([[np.nan]]), "target_point": np.float32([[1]])}
    details = ask("ModelInfer", infer(changed))[1].details
    assert details.startswith("speed_mps: is NaN or infinite at [0, 0]; target_point: has shape (1)")


def test_typed_numbers_that_do_not_fit_are_refused(ask: Ask) -> None:
    asked = infer({**RIGHT, "speed_mps": np.float32([[np.inf]])}, raw=False)
    assert "speed_mps: NaN and infinity are not allowed" in ask("ModelInfer", asked)[1].details
    asked = infer(RIGHT, raw=False)
    asked.inputs[0].contents.uint_contents[5] = 256
    assert "image: a number is too large for uint8" in ask("ModelInfer", asked)[1].details
    del asked.inputs[0].contents.uint_contents[5]
    assert "image: has 6143 numbers, its shape" in ask("ModelInfer", asked)[1].details


def test_contents_that_do_not_belong_to_the_tensors_are_told(ask: Ask) -> None:
    asked = infer(RIGHT)
    del asked.raw_input_contents[0]
    assert "raw_input_contents: has 3 tensors for 4 inputs" in ask("ModelInfer", asked)[1].details
    asked = infer(RIGHT)
    asked.inputs[2].contents.fp32_contents.append(1)
    assert "speed_mps: has contents beside raw_input_contents" in ask("ModelInfer", asked)[1].details
    asked = infer(RIGHT, raw=False)
    asked.inputs[2].contents.Clear()
    asked.inputs[2].contents.fp64_contents.append(1)
    told = "speed_mps: has fp64_contents; FP32 goes into contents.fp32_contents"
    assert told in ask("ModelInfer", asked)[1].details
    asked = infer(RIGHT)
    asked.inputs[0].parameters["shared_memory_region"].string_param = "mine"
    assert "image: the parameter shared_memory_region is not supported" in ask("ModelInfer", asked)[1].details
    asked = infer(RIGHT)
    asked.inputs.append(asked.inputs[0])
    assert "image: is given twice" in ask("ModelInfer", asked)[1].details


def test_an_unknown_model_or_version_is_not_found(ask: Ask) -> None:
    for call, asked in (
        ("ModelInfer", infer(RIGHT, model_name="other")),
        ("ModelMetadata", service_pb2.ModelMetadataRequest(name="other")),
        ("ModelConfig", service_pb2.ModelConfigRequest(name="other")),
        ("ModelStatistics", service_pb2.ModelStatisticsRequest(name="other")),
    ):
        context = ask(call, asked)[1]
        told = "there is no model 'other' here; tiny is served"
        assert (context.code, context.details) == (StatusCode.NOT_FOUND, told)
    context = ask("ModelInfer", infer(RIGHT, model_version="8"))[1]
    assert (context.code, "version 8 of tiny is not served" in context.details) == (StatusCode.NOT_FOUND, True)


def test_ready_is_a_question_that_no_is_an_answer_to(ask: Ask) -> None:
    def ready(name: str, version: str = "") -> bool:
        answered, context = ask("ModelReady", service_pb2.ModelReadyRequest(name=name, version=version))
        assert context.code == StatusCode.OK
        return bool(answered.ready)

    assert [ready("tiny"), ready("tiny", "7"), ready("tiny", "8"), ready("other")] == [True, True, False, False]
    empty = asking(TinyPredictor(), Shelf(number=None))
    assert empty("ServerLive")[0].live
    assert not empty("ServerReady")[0].ready


def test_without_a_model_the_client_is_told_to_come_back() -> None:
    _, context = asking(TinyPredictor(), Shelf(number=None))("ModelInfer", infer(RIGHT))
    assert (context.code, "no champion yet" in context.details) == (StatusCode.UNAVAILABLE, True)
    assert context.trailing == [("retry-after", "5")]


def test_a_canary_answers_its_share_and_the_same_requests_again() -> None:
    shelf = Shelf(number=7)
    shelf.challenger, shelf.rollout = 8, Rollout(mode="canary", share=0.5)
    ask = asking(TinyPredictor(), shelf)

    def who(key: str) -> str:
        return str(ask("ModelInfer", infer(RIGHT), {"x-request-id": key})[0].model_version)

    drawn = [who(f"request {number}") for number in range(12)]
    assert set(drawn) == {"7", "8"}
    assert [who(f"request {number}") for number in range(12)] == drawn
    assert ask("ModelInfer", infer(RIGHT, model_version="8"))[0].model_version == "8"


def test_answers_and_failures_are_counted_under_their_version() -> None:
    stats = service_pb2.ModelStatisticsRequest(name="tiny")

    def counted(ask: Ask) -> tuple[int, int, int]:
        told = ask("ModelStatistics", stats)[0].model_stats[0]
        return told.inference_count, told.inference_stats.success.count, told.inference_stats.fail.count

    for asked in ([], [infer(RIGHT)], [infer(RIGHT), infer({})]):
        together = asking(TinyPredictor(), Shelf(number=7), before=[("ModelInfer", each) for each in asked])
        assert counted(together) == (len(asked[:1]), len(asked[:1]), len(asked[1:]))


def test_what_a_client_reads_of_the_model_is_the_signature(ask: Ask) -> None:
    told = ask("ModelMetadata", service_pb2.ModelMetadataRequest(name="tiny"))[0]
    assert {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in told.inputs} == {
        "image": ("UINT8", [-1, -1, -1, 3]),
        "sweep": ("FP32", [-1, -1, 4]),
        "speed_mps": ("FP32", [-1, 1]),
        "target_point": ("FP32", [-1, 2]),
    }
    config = ask("ModelConfig", service_pb2.ModelConfigRequest(name="tiny"))[0].config
    assert (config.max_batch_size, list(config.input[1].dims)) == (4, [-1, 4])
    rows = ask("RepositoryIndex", service_pb2.RepositoryIndexRequest())[0].models
    assert [(row.name, row.version, row.state) for row in rows] == [("tiny", "7", "READY")]
    stats = ask("ModelStatistics", service_pb2.ModelStatisticsRequest(name="tiny"))[0].model_stats
    assert [(row.name, row.version, row.inference_count) for row in stats] == [("tiny", "7", 0)]
    assert "binary_tensor_data" in ask("ServerMetadata")[0].extensions


def test_every_call_of_the_service_is_answered_or_refused_with_a_sentence(ask: Ask) -> None:
    for call in SERVICE.methods:
        answered, context = ask(call.name)
        assert type(answered) is type(answer(call.name))
        assert callable(getattr(Replica, call.name)), "Serve finds a call by its name"
        assert context.code != StatusCode.INTERNAL, (call.name, context.details)
        assert (context.code == StatusCode.UNIMPLEMENTED) == (call.name in REFUSED)
        assert (context.code == StatusCode.OK) == (context.details == "")


def test_who_shows_no_token_or_a_wrong_one_is_told_nothing_and_its_message_is_not_parsed(ask_guarded: Ask) -> None:
    for call in SERVICE.methods:
        if call.name in ("ServerLive", "ServerReady"):
            assert ask_guarded(call.name)[1].code == StatusCode.OK
            continue
        for metadata, said in (({}, "is needed"), ({"authorization": "Bearer guessed"}, "is not known")):
            context = ask_guarded(call.name, b"\xff no message", metadata)[1]
            assert (context.code, said in context.details) == (StatusCode.UNAUTHENTICATED, True)
    assert ask_guarded("ModelInfer", infer(RIGHT), ANN)[1].code == StatusCode.OK


def test_a_message_over_the_limit_is_refused_even_where_the_server_let_it_in(ask: Ask) -> None:
    context = ask("ModelInfer", bytes(4 * 2**20 + 1))[1]
    assert (context.code, context.details) == (StatusCode.RESOURCE_EXHAUSTED, "the request is larger than 4 MiB")


def test_a_failure_of_ours_is_told_without_its_cause(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.endpoint.rpc.calls.read_message", lambda *_: 1 / 0)
    context = ask("ModelInfer", infer(RIGHT))[1]
    assert (context.code, "division" in context.details) == (StatusCode.INTERNAL, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, StatusCode.INVALID_ARGUMENT),
        (401, StatusCode.UNAUTHENTICATED),
        (403, StatusCode.PERMISSION_DENIED),
        (404, StatusCode.NOT_FOUND),
        (408, StatusCode.DEADLINE_EXCEEDED),
        (413, StatusCode.RESOURCE_EXHAUSTED),
        (422, StatusCode.INVALID_ARGUMENT),
        (429, StatusCode.RESOURCE_EXHAUSTED),
        (500, StatusCode.INTERNAL),
        (503, StatusCode.UNAVAILABLE),
        (504, StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_each_status_of_http_has_its_code(status: int, code: Any) -> None:
    context = Context({})
    refuse(context, ProblemError(status, "so it is", "speed_mps"))
    assert (context.code, context.details) == (code, "speed_mps: so it is")


def test_a_message_fits_into_a_header_however_much_is_wrong() -> None:
    listed = [{"field": f"field{number}", "detail": "is wrong"} for number in range(500)]
    assert len(message(ProblemError(422, "is wrong", extra={"errors": listed}))) <= 1000


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 6500))
def test_bytes_that_are_no_message_are_never_our_fault(noise: bytes, place: int) -> None:
    content = infer(RIGHT).SerializeToString()
    context = asking(TinyPredictor(), Shelf())("ModelInfer", content[:place] + noise + content[place + len(noise) :])[1]
    assert context.code not in (StatusCode.INTERNAL, StatusCode.UNAVAILABLE), context.details
