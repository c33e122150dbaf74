"""The stock Triton client against the endpoint, over a socket: every datatype, versions, packing and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from running import running
from tiny_model import SIGNATURE, Shelf, TextPredictor, TinyPredictor, png, sweep

triton: Any = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]  # noqa: E402

POINTS = np.frombuffer(sweep(50), np.float32).reshape(1, 50, 4)
PIXELS = np.zeros((1, 32, 64, 3), np.uint8)
RIGHT = {
    "image": PIXELS,
    "sweep": POINTS,
    "speed_mps": np.float32([[5.5]]),
    "target_point": np.float32([[20.0, 1.5]]),
}
TYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "float64": "FP64", "object": "BYTES"}


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf(number=7)


@pytest.fixture(scope="module")
def address(shelf: Shelf) -> Iterator[str]:
    with running(shelf, TinyPredictor()) as address:
        yield address


@pytest.fixture(scope="module")
def text_address() -> Iterator[str]:
    with running(Shelf(number=2), TextPredictor()) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
def text_client(text_address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(text_address) as client:
        yield client


def given(arrays: dict[str, Any], binary: bool = True) -> list[Any]:
    inputs = []
    for name, array in arrays.items():
        inputs.append(triton.InferInput(name, list(array.shape), TYPES[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    return inputs


def refused(client: Any, arrays: dict[str, Any], **options: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("tiny", given(arrays), **options)
    return caught.value.status(), caught.value.message()


def test_the_server_and_its_model_are_live_and_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "7")
    assert not client.is_model_ready("tiny", "8")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]


def test_the_metadata_is_the_signature_with_a_batch_dimension(client: Any) -> None:
    told = client.get_model_metadata("tiny", "7")
    assert told["versions"] == ["7"]
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in told["inputs"]} == {
        "image": ("UINT8", [-1, -1, -1, 3]),
        "sweep": ("FP32", [-1, -1, 4]),
        "speed_mps": ("FP32", [-1, 1]),
        "target_point": ("FP32", [-1, 2]),
    }
    assert [tensor["name"] for tensor in told["outputs"]] == [tensor.name for tensor in SIGNATURE.outputs]
    config = client.get_model_config("tiny")
    assert (config["max_batch_size"], config["input"][1]["dims"]) == (4, [-1, 4])


def test_the_repository_lists_what_answers(client: Any) -> None:
    rows = client.get_model_repository_index()
    assert rows == [{"name": "tiny", "version": "7", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_every_way_to_send_and_receive_gives_the_same_answer(
    client: Any, binary_in: bool, binary_out: bool, packing: str | None
) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("steer", "waypoints")]
    answer = client.infer(
        "tiny", given(RIGHT, binary_in), outputs=wanted, request_id="a7", request_compression_algorithm=packing
    )
    np.testing.assert_array_equal(answer.as_numpy("waypoints"), np.float32([[[20.0, 1.5]] * 4]))
    np.testing.assert_array_equal(answer.as_numpy("steer"), np.float32([[50]]))
    told = answer.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("a7", "tiny", "7")


def test_only_the_outputs_that_were_asked_for_come_back(client: Any) -> None:
    answer = client.infer("tiny", given(RIGHT), outputs=[triton.InferRequestedOutput("steer")], model_version="7")
    assert answer.as_numpy("steer").shape == (1, 1)
    assert answer.as_numpy("waypoints") is None


def test_a_batch_is_answered_row_by_row(client: Any) -> None:
    batch = {name: np.repeat(array, 3, axis=0) for name, array in RIGHT.items()}
    batch["target_point"] = np.float32([[1, 0], [2, 0], [3, 0]])
    waypoints = client.infer("tiny", given(batch)).as_numpy("waypoints")
    assert waypoints.shape == (3, 4, 2)
    assert waypoints[:, 0, 0].tolist() == [1, 2, 3]


def test_an_image_may_come_channels_first_and_an_image_or_a_sweep_as_its_file(client: Any) -> None:
    first = {**RIGHT, "image": np.zeros((1, 3, 32, 64), np.uint8)}
    files = {**RIGHT, "image": np.array([png()], object), "sweep": np.array([[sweep(9)]], object)}
    assert client.infer("tiny", given(first)).as_numpy("steer") == 50
    assert client.infer("tiny", given(files)).as_numpy("steer") == 9


@pytest.mark.parametrize("binary", [True, False])
def test_text_goes_in_and_comes_out_as_bytes(text_client: Any, binary: bool) -> None:
    texts = np.array(["straßé 🚗", ""], object)
    answer = text_client.infer("tiny", given({"text": texts, "count": np.int64([[2], [3]])}, binary))
    assert [item.decode() for item in answer.as_numpy("text")] == ["straßé 🚗straßé 🚗", ""]
    wanted = [triton.InferRequestedOutput("text", binary_data=False), triton.InferRequestedOutput("length")]
    answer = text_client.infer("tiny", given({"text": texts, "count": np.int64([[2], [3]])}, binary), outputs=wanted)
    assert answer.as_numpy("text").tolist()[0] == "straßé 🚗straßé 🚗"
    assert answer.as_numpy("length").dtype == np.int64


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"sped_mps": np.float32([[1]])}, "422", "sped_mps: is no input of this model"),
        ({"speed_mps": None}, "422", "speed_mps: is missing"),
        ({"speed_mps": np.float64([[1]])}, "422", "speed_mps: has datatype FP64; send FP32"),
        ({"image": PIXELS.astype(np.float32)}, "422", "image: has datatype FP32; send UINT8 or BYTES"),
        ({"sweep": POINTS[0]}, "422", "sweep: has shape (50, 4) without the batch dimension; send (1, 50, 4)"),
        ({"sweep": POINTS[..., :3]}, "422", "sweep: has shape (50, 3)"),
        ({"sweep": POINTS[:, :0]}, "422", "sweep: the sweep has no points"),
        ({"sweep": np.zeros((1, 50_001, 4), np.float32)}, "413", "sweep: the sweep has 50001 points"),
        ({"image": np.zeros((1, 1000, 501, 3), np.uint8)}, "413", "image: the image has 501 x 1000 pixels"),
        ({"image": np.zeros((1, 32, 64, 4), np.uint8)}, "422", "image: has shape"),
        ({"image": np.array([b"no picture"], object)}, "415", "image: send a PNG or JPEG file"),
        ({"sweep": POINTS * np.float32(np.nan)}, "422", "sweep: is NaN or infinite at [0, 0, 0]"),
        ({"speed_mps": np.float32([[1], [2]])}, "422", "speed_mps: has the batch size 2, image has 1"),
        ({"speed_mps": np.float32([[-1]])}, "422", "speed_mps: must not be negative"),
    ],
)
def test_a_wrong_tensor_is_named(client: Any, changed: dict[str, Any], status: str, said: str) -> None:
    arrays = {name: array for name, array in {**RIGHT, **changed}.items() if array is not None}
    found_status, message = refused(client, arrays)
    assert said in message
    assert found_status == status


def test_a_batch_over_the_limit_is_refused(client: Any) -> None:
    batch = {name: np.repeat(array, 5, axis=0) for name, array in RIGHT.items()}
    status, message = refused(client, batch)
    assert (status, "1 to 4 are taken" in message) == ("422", True)


def test_an_unknown_model_version_or_output_is_told(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="there is no model 'other' here; tiny is served"):
        client.infer("other", given(RIGHT))
    assert "version 8 of tiny is not served; version 7 is" in refused(client, RIGHT, model_version="8")[1]
    wanted = [triton.InferRequestedOutput("waypoint")]
    assert "did you mean waypoints?" in refused(client, RIGHT, outputs=wanted)[1]
    with pytest.raises(InferenceServerException, match="is not supported"):
        client.infer("tiny", given(RIGHT), outputs=[triton.InferRequestedOutput("steer", class_count=2)])


def test_the_statistics_count_samples_batches_and_failures(client: Any) -> None:
    before = client.get_inference_statistics("tiny", "7")["model_stats"][0]
    client.infer("tiny", given({name: np.repeat(array, 3, axis=0) for name, array in RIGHT.items()}))
    refused(client, {**RIGHT, "speed_mps": np.float32([[-1]])})
    after = client.get_inference_statistics()["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
