"""The endpoint over a small model, in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import PATIENCE_S
from starlette.testclient import TestClient
from tiny_model import Shelf, TinyPredictor, form

from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.watcher import Watcher


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def predictor() -> TinyPredictor:
    return TinyPredictor()


@pytest.fixture
def config() -> EndpointConfig:
    return EndpointConfig(
        max_body_mb=4, max_points=1000, max_image_mpx=0.5, poll_s=0.01, max_batch_size=4, timeout_s=PATIENCE_S
    )


@pytest.fixture
def engine(shelf: Shelf, predictor: TinyPredictor, config: EndpointConfig) -> Engine:
    return Engine(Watcher("tiny", shelf, config, load=lambda _folder: predictor), config)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine)) as client:
        yield client


@pytest.fixture
def ask(client: TestClient) -> Callable[..., Any]:
    """Post a right request with some fields changed."""
    return lambda **changes: client.post("/v1/predict", files=form(**changes))
