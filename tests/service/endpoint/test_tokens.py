"""Where there is a file of tokens, only who is in it may ask the endpoint; health stays open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tiny_model import Shelf, TinyPredictor, form

from fusegpt.config import SettingError
from service.api.access import Access
from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.watcher import Watcher
from service.settings import Settings

TOKEN = "a-long-and-random-one"
ANN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(f"ann viewer {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    return file


@pytest.fixture
def guarded(tokens: Path, shelf: Shelf) -> Iterator[TestClient]:
    settings = Settings.read({"FUSEGPT_TOKENS": str(tokens), "FUSEGPT_HOST": "0.0.0.0"})
    config = EndpointConfig()
    engine = Engine(Watcher("tiny", shelf, config, lambda _: TinyPredictor()), config)
    with TestClient(create_app(engine, Access(settings, "endpoint"))) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/model", "/metrics", "/v2", "/v2/models/tiny", "/openapi.json", "/nowhere"])
def test_who_shows_no_token_or_a_wrong_one_is_told_nothing(guarded: TestClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = guarded.get(path, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert guarded.get(path, headers=ANN).status_code != 401


def test_a_token_of_the_file_predicts_until_the_file_is_gone(guarded: TestClient, tokens: Path) -> None:
    assert guarded.post("/v1/predict", files=form()).status_code == 401
    assert guarded.post("/v1/predict", files=form(), headers=ANN).status_code == 200
    assert guarded.post("/v2/models/tiny/infer", json={}).json() == {
        **{"error": "Authorization: a bearer token is needed", "field": "Authorization"}
    }
    tokens.unlink()
    answer = guarded.post("/v1/predict", files=form(), headers=ANN)
    assert (answer.status_code, "FUSEGPT_TOKENS" in answer.json()["detail"]) == (503, True)


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.css", "/healthz", "/readyz", "/v2/health/live"])
def test_health_and_the_pages_themselves_stay_open(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_an_endpoint_beyond_this_machine_needs_tokens() -> None:
    with pytest.raises(SettingError, match=r"FUSEGPT_TOKENS: .*endpoint listens beyond this machine \(FUSEGPT_HOST"):
        Access(Settings.read({"FUSEGPT_HOST": "0.0.0.0"}), "endpoint")
    assert not Access(Settings.read({}), "endpoint").needs_token
