"""What runs the model is chosen by a setting, told to who asks, and makes no difference to the answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE_S
from pydantic import ValidationError
from starlette.testclient import TestClient
from tiny_model import Shelf

from fusegpt.config import SettingError
from fusegpt.data import WorldData
from fusegpt.data.lidar import BevGrid
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.predictor import EngineName, Predictor
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.checkpoint import Scores, save_best
from service.endpoint.app import create_app
from service.endpoint.champion import load_predictor
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.oip.datatypes import HEADER_LENGTH
from service.endpoint.oip.writing import written
from service.endpoint.server import serve
from service.endpoint.watcher import Watcher
from service.settings import Settings


class Folders(Shelf):
    """Two versions of a small fusion model."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        small = {"n_embd": 8, "n_head": 2, "n_layer": 1, "image_anchors": (1, 2), "lidar_anchors": (2, 2)}
        experiment = Experiment(
            name="tiny",
            task=WaypointsConfig(),
            model=FusionConfig(image_encoder="resnet10t", lidar_encoder="resnet10t", **small),  # type: ignore[arg-type]
            data=WorldData(image_height_px=32, image_width_px=64, lidar=BevGrid(px_per_m=1)),
        )
        for version in (1, 2):
            torch.manual_seed(version)
            save_best(self.folder(version), experiment, experiment.model.build(), Scores(epoch=1, step=1, metrics={}))

    def folder(self, version: int) -> Path:
        return self.root / str(version)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("versions"))


def request_of(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (40, 90, 3), dtype=np.uint8),
        "sweep": rng.uniform(-20, 20, (500, 4)).astype(np.float32),
        "speed_mps": np.array([4.0], np.float32),
        "target_point": np.array([20.0, 1.0], np.float32),
    }


def asked(client: TestClient, inputs: dict[str, Any], signature: Any) -> tuple[str, np.ndarray[Any, Any]]:
    """The version that answered, and its waypoints."""
    headers, parts = written(signature, inputs)
    answer = client.post("/v2/models/tiny/infer", headers=headers, content=b"".join(bytes(part) for part in parts))
    assert answer.status_code == 200, answer.text
    start = int(answer.headers[HEADER_LENGTH])
    waypoints = np.frombuffer(answer.content, np.float32, count=8, offset=start).reshape(4, 2)
    return answer.headers["Fusegpt-Model-Version"], waypoints


@pytest.mark.parametrize("name", ["auto", "torch"])
def test_a_swap_changes_the_version_and_no_engine_the_answers(folders: Folders, name: EngineName) -> None:
    if name == "auto":
        pytest.importorskip("openvino", reason="openvino is not installed")
    folders.number = 1
    config = EndpointConfig(engine=name, max_batch_size=2, poll_s=0.01, timeout_s=PATIENCE_S)
    load = partial(load_predictor, engine=config.engine)
    engine = Engine(Watcher("tiny", folders, config, load), config)
    inputs = request_of(1)
    with TestClient(create_app(engine)) as client:
        for version in (1, 2):
            folders.number = version
            engine.watcher.poll()
            assert client.get("/v1/model").json()["engine"] == ("openvino" if name == "auto" else "torch")
            trained = Predictor.load(folders.folder(version))
            came, waypoints = asked(client, inputs, trained.signature)
            assert came == str(version)
            np.testing.assert_allclose(waypoints, trained.predict([inputs])[0]["waypoints"], atol=1e-4)


def test_openvino_on_a_gpu_is_a_wrong_setting() -> None:
    with pytest.raises(ValidationError, match=r"endpoint.engine: openvino runs on CPUs"):
        EndpointConfig(engine="openvino", gpus_per_replica=1)


def test_an_engine_that_is_not_there_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.endpoint.server.find_spec", lambda _name: None)
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), "FUSEGPT_PORT": "0"})
    with (
        pytest.raises(SettingError, match=r"endpoint.engine: openvino is not installed here; pip install"),
        serve(settings, "tiny", EndpointConfig(engine="openvino")),
    ):
        pass
