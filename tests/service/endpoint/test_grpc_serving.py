"""Triton's stock gRPC client against a real Ray Serve behind HAProxy: types, errors, tokens, a swap, a death."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE_S, START_S, wait_for
from tiny_model import NEVER_SLOW, ShelfOnDisk
from typed_model import RIGHT, TOKEN, given, headers, typed_endpoint

from service.endpoint.config import EndpointConfig
from service.endpoint.server import Endpoint

triton: Any = pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
triton_http: Any = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]  # noqa: E402

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ShelfOnDisk:
    shelf = ShelfOnDisk(tmp_path_factory.mktemp("champions"))
    shelf.promote(1)
    return shelf


@pytest.fixture(scope="module")
def endpoint(shelf: ShelfOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    config = EndpointConfig(
        poll_s=0.2, max_body_mb=4, num_replicas=2, cpus_per_replica=0.5, timeout_s=PATIENCE_S, guard=NEVER_SLOW
    )
    with typed_endpoint(tmp_path_factory.mktemp("home"), shelf, config) as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Any]:
    with triton.InferenceServerClient(endpoint.grpc) as client:
        yield client


def ask(client: Any, **changed: Any) -> Any:
    return client.infer("typed", given(triton, RIGHT | changed), headers=headers())


def refused(client: Any, token: str = TOKEN, **changed: Any) -> tuple[str, str]:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("typed", given(triton, RIGHT | changed), headers=headers(token))
    return caught.value.status(), caught.value.message()


def test_the_stock_client_reads_all_that_it_asks_for(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("typed", headers=headers())
    assert client.is_model_ready("typed", "1", headers=headers())
    assert not client.is_model_ready("typed", "8", headers=headers())
    assert "statistics" in client.get_server_metadata(headers=headers()).extensions
    told = client.get_model_metadata("typed", "1", headers=headers())
    assert [tensor.datatype for tensor in told.inputs] == ["UINT8", "FP32", "INT64", "BYTES"]
    assert client.get_model_config("typed", headers=headers()).config.max_batch_size == 8
    assert client.get_model_repository_index(headers=headers()).models[0].state == "READY"
    assert client.get_inference_statistics(headers=headers()).model_stats[0].name == "typed"


@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
def test_answers_are_those_of_http_to_the_last_bit(client: Any, endpoint: Endpoint, packing: str | None) -> None:
    over_grpc = client.infer("typed", given(triton, RIGHT), headers=headers(), compression_algorithm=packing)
    with triton_http.InferenceServerClient(endpoint.url.removeprefix("http://")) as client:
        over_http = client.infer("typed", given(triton_http, RIGHT), headers=headers())
    for name in ("sums", "count", "text"):
        ours, theirs = over_grpc.as_numpy(name), over_http.as_numpy(name)
        assert (ours.dtype, ours.shape, ours.tolist()) == (theirs.dtype, theirs.shape, theirs.tolist())


def test_versions_and_wrong_requests_are_told_apart(client: Any) -> None:
    answer = client.infer("typed", given(triton, RIGHT), model_version="1", request_id="a7", headers=headers())
    assert (answer.get_response().id, answer.get_response().model_version) == ("a7", "1")
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND\] version 8 of typed is not served"):
        client.infer("typed", given(triton, RIGHT), model_version="8", headers=headers())
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND\] there is no model 'other' here"):
        client.infer("other", given(triton, RIGHT), headers=headers())
    sweep = RIGHT["sweep"]
    wrong = {
        "has shape (500, 3)": sweep[..., :3].copy(),
        "is NaN or infinite at [0, 0, 0]": sweep * np.float32(np.nan),
        "without the batch dimension": sweep[0],
    }
    for said, tensor in wrong.items():
        code, message = refused(client, sweep=tensor)
        assert (code, f"sweep: {message.partition('sweep: ')[2]}") == ("StatusCode.INVALID_ARGUMENT", message)
        assert said in message


@pytest.mark.parametrize("packing", [None, "gzip"])
def test_a_message_over_the_limit_is_refused_as_sent_and_as_unpacked(client: Any, packing: str | None) -> None:
    large = RIGHT | {"sweep": np.zeros((1, 300_000, 4), np.float32)}
    with pytest.raises(InferenceServerException, match=r"RESOURCE_EXHAUSTED\] .*message larger than max"):
        client.infer("typed", given(triton, large), headers=headers(), compression_algorithm=packing)


def test_only_who_has_a_token_is_answered(client: Any) -> None:
    for token in ("guessed", ""):
        code, message = refused(client, token)
        assert (code, "Authorization: " in message) == ("StatusCode.UNAUTHENTICATED", True)
    for call in (client.get_server_metadata, client.get_model_repository_index, client.get_inference_statistics):
        with pytest.raises(
            InferenceServerException, match=r"UNAUTHENTICATED\] Authorization: a bearer token is needed"
        ):
            call()


def test_what_serve_would_tell_without_a_token_is_not_told(endpoint: Endpoint) -> None:
    import grpc  # type: ignore[import-untyped]
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
    from ray.serve.generated import serve_pb2, serve_pb2_grpc

    with grpc.insecure_channel(endpoint.grpc) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            serve_pb2_grpc.RayServeAPIServiceStub(channel).ListApplications(serve_pb2.ListApplicationsRequest())
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            list(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked])))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_stream_is_refused_at_once_with_a_sentence(client: Any) -> None:
    told: list[Any] = []
    answered = threading.Event()

    def callback(result: Any, error: Any) -> None:
        told.append((result, error.message()))
        answered.set()

    client.start_stream(callback, headers=headers())
    with suppress(InferenceServerException):  # the client's own, where the refusal is there before a request is
        client.async_stream_infer("typed", given(triton, RIGHT))
    assert answered.wait(PATIENCE_S)
    client.stop_stream()
    assert told[0] == (None, "streams are not offered; ask ModelInfer instead")


def test_the_asynchronous_client_asks_many_at_once(endpoint: Endpoint) -> None:
    from tritonclient.grpc.aio import InferenceServerClient  # type: ignore[import-untyped]

    async def ask_all() -> list[Any]:
        async with InferenceServerClient(endpoint.grpc) as client:
            asked = [RIGHT | {"count": np.int64([[number]])} for number in range(20)]
            return await asyncio.gather(
                *(client.infer("typed", given(triton, each), headers=headers()) for each in asked)
            )

    assert [int(answer.as_numpy("count")[0, 0]) for answer in asyncio.run(ask_all())] == list(range(20))


class Asking:
    """Threads that ask on, and what they were told: versions and processes, or errors. Nothing is tried again here."""

    def __init__(self, address: str) -> None:
        self.versions: Counter[str] = Counter()
        self.processes: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self._address = address
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(4)]

    def _ask_on(self) -> None:
        with triton.InferenceServerClient(self._address) as client:
            while not self._done.is_set():
                try:
                    answer = ask(client)
                except InferenceServerException as error:
                    self.errors[str(error)] += 1
                    continue
                version = answer.get_response().model_version
                assert int(answer.as_numpy("count")[0, 0]) == int(RIGHT["count"][0, 0]) * int(version)
                self.versions[version] += 1
                self.processes[int(answer.as_numpy("process")[0, 0])] += 1

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def test_a_champion_is_swapped_under_load_without_a_failed_request(endpoint: Endpoint, shelf: ShelfOnDisk) -> None:
    with Asking(endpoint.grpc) as asking:
        for version in (2, 3):
            wait_for(lambda: sum(asking.versions.values()) > 20)
            shelf.promote(version)
            wait_for(lambda version=version: asking.versions[str(version)] > 20)
    assert asking.errors == Counter()
    assert set(asking.versions) == {"1", "2", "3"}


def test_a_killed_replicas_requests_are_answered_by_the_other(endpoint: Endpoint) -> None:
    with Asking(endpoint.grpc) as asking:
        wait_for(lambda: len(asking.processes) == 2 and min(asking.processes.values()) > 20)
        victim, other = asking.processes
        os.kill(victim, signal.SIGKILL)
        before = asking.processes[other]
        wait_for(lambda: asking.processes[other] > before + 50)
        wait_for(lambda: len(asking.processes) == 3, START_S)
    assert asking.errors == Counter()
