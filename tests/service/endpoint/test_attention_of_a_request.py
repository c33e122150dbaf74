"""Where a request's tokens look, over HTTP and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import in_browser, opened
from running import running
from starlette.testclient import TestClient
from tiny_model import Shelf, TinyPredictor, form

from fusegpt.tasks.attention import Attention
from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.watcher import Watcher


class Looking(TinyPredictor):
    """Two parts of the picture and four of the ground; all look at the ground's first part."""

    def attention(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Attention:
        assert inputs["sweep"].shape[1] == 4
        weights = np.zeros((3, 6, 6), np.float32)
        weights[..., 2] = 1
        return Attention(weights, (1, 2), (2, 2), (0.0, 32.0), (-16.0, 16.0))


@pytest.fixture
def looking(config: EndpointConfig) -> TestClient:
    engine = Engine(Watcher("tiny", Shelf(), config, load=lambda _folder: Looking()), config)
    return TestClient(create_app(engine))


def test_the_answer_has_a_weight_for_each_pair_of_tokens_and_says_where_they_lie(looking: TestClient) -> None:
    with looking as client:
        answer = client.post("/v1/attention", files=form()).json()
    assert np.shape(answer["weights"]) == (6, 6)
    assert answer["weights"][0] == [0, 0, 1, 0, 0, 0]
    assert (answer["image_grid"], answer["lidar_grid"], answer["heads"]) == ([1, 2], [2, 2], 3)
    assert (answer["x_m"], answer["y_m"]) == ([0, 32], [-16, 16])


def test_a_wrong_field_is_named_as_in_a_prediction(looking: TestClient) -> None:
    with looking as client:
        answer = client.post("/v1/attention", files=form(speed_mps=b"fast"))
    assert (answer.status_code, answer.json()["field"]) == (422, "speed_mps")


def test_a_model_without_attention_says_so(client: TestClient) -> None:
    answer = client.post("/v1/attention", files=form())
    assert answer.status_code == 404
    assert answer.json()["detail"] == "version 1 of tiny has no attention to show"


def test_what_is_looked_at_is_no_prediction_and_is_not_counted_as_one(looking: TestClient) -> None:
    with looking as client:
        client.post("/v1/attention", files=form())
        assert 'protocol="form"' not in client.get("/metrics").text


def test_the_interface_tells_that_it_takes_the_form_of_a_prediction(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert paths["/v1/attention"]["post"]["requestBody"] == paths["/v1/predict"]["post"]["requestBody"]


@in_browser
@pytest.mark.slow
def test_a_click_on_the_picture_tells_where_that_part_looks(tmp_path: Path) -> None:
    with (
        running(Shelf(number=7), Looking()) as address,
        opened(f"http://{address}/#example", tmp_path) as page,
    ):
        page.when("Boolean(document.getElementById('look')?.offsetParent)")
        page.evaluate("document.getElementById('look').click()")
        page.until("This part of the ground looks to 0 % at the picture and to 100 % at the ground")
        page.evaluate(
            "document.getElementById('picture').dispatchEvent(new MouseEvent('click', {clientX: 1, clientY: 1}))"
        )
        page.until("This part of the picture looks to 0 % at the picture")
        page.evaluate("document.getElementById('blind').click()")
        page.when("document.getElementById('hot').hidden")
        assert page.evaluate("document.getElementById('looks').textContent") == ""


@in_browser
@pytest.mark.slow
def test_a_model_without_attention_says_so_on_the_page(tmp_path: Path) -> None:
    with (
        running(Shelf(number=7), TinyPredictor()) as address,
        opened(f"http://{address}/#example", tmp_path) as page,
    ):
        page.when("Boolean(document.getElementById('look')?.offsetParent)")
        page.evaluate("document.getElementById('look').click()")
        assert "looks to" not in page.until("version 7 of tiny has no attention to show")
