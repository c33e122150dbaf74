"""Every experiment from its smoke run to an answer: trained, registered, promoted, served, asked by Triton's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE_S
from starlette.testclient import TestClient

import experiments
from fusegpt.predictor import Predictor
from fusegpt.signature import Tensor
from service import run
from service.endpoint.app import create_app
from service.endpoint.champion import RegistryChampions
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.oip.datatypes import DATATYPES, HEADER_LENGTH
from service.endpoint.watcher import Watcher
from service.settings import Settings

triton: Any = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Settings.read({"FUSEGPT_HOME": str(tmp_path_factory.mktemp("home"))})
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", experiments.names())
def test_a_smoke_run_becomes_a_champion_that_answers_as_the_model_itself(name: str, settings: Settings) -> None:
    experiment = experiments.load(name).override(experiments.smoke(name))
    outcome = run.train(run.search_of(experiment, f"{name}-smoke", settings), settings, [], promote=True)
    assert outcome.best is not None
    predictor = Predictor.load(outcome.best.folder / "best")
    example = predictor.example()
    wanted: dict[str, Any] = predictor.predict([example])[0]
    with served(name, settings) as client:
        answer = asked(client, name, example, predictor.signature.inputs)
    for output in predictor.signature.outputs:
        given = answer.as_numpy(output.name)
        if output.dtype == "text":
            assert given.reshape(-1)[0].decode() == str(wanted[output.name])
        else:
            assert given.shape == (1, *wanted[output.name].shape)
            np.testing.assert_allclose(given[0], wanted[output.name], rtol=1e-4, atol=1e-4)


@contextmanager
def served(name: str, settings: Settings) -> Iterator[TestClient]:
    """The endpoint of this experiment's champion, in process."""
    config = EndpointConfig(max_batch_size=2, timeout_s=PATIENCE_S)
    engine = Engine(Watcher(name, RegistryChampions(settings, name), config), config)
    with TestClient(create_app(engine)) as client:
        yield client


def asked(client: TestClient, name: str, example: dict[str, Any], inputs: tuple[Tensor, ...]) -> Any:
    """What Triton's client makes of the answer to the bytes that it writes."""
    tensors = [_input(tensor, example[tensor.name]) for tensor in inputs]
    body, header = triton.InferenceServerClient.generate_request_body(tensors)
    headers = {HEADER_LENGTH: str(header)} if header else {}
    answer = client.post(f"/v2/models/{name}/infer", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(HEADER_LENGTH, 0)) or None
    return triton.InferResult.from_response_body(answer.content, header_length=length)


def _input(tensor: Tensor, value: np.ndarray[Any, Any]) -> Any:
    value = np.array([str(value).encode()], dtype=object) if tensor.dtype == "text" else value[None]
    made = triton.InferInput(tensor.name, list(value.shape), DATATYPES[tensor.dtype])
    made.set_data_from_numpy(value, binary_data=True)
    return made
