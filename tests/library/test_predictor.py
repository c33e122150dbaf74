"""The predictor: a folder becomes a model that answers, the same alone, in a batch and from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fusegpt.data import WorldData
from fusegpt.data.lidar import BevGrid
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.predictor import Predictor
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.checkpoint import CheckpointError, Scores, save_best


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    small = {"n_embd": 8, "n_head": 2, "n_layer": 1, "image_anchors": (1, 2), "lidar_anchors": (2, 2)}
    experiment = Experiment(
        name="example",
        task=WaypointsConfig(),
        model=FusionConfig(image_encoder="resnet10t", lidar_encoder="resnet10t", **small),  # type: ignore[arg-type]
        data=WorldData(image_height_px=32, image_width_px=64, lidar=BevGrid(px_per_m=1)),
    )
    folder = tmp_path_factory.mktemp("model") / "best"
    model = experiment.model.build()
    save_best(folder, experiment, model, Scores(epoch=1, step=1, metrics={}))
    return folder


def requests(n: int) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(0)
    return [
        {
            "image": rng.integers(0, 256, (40 + i, 90, 3), dtype=np.uint8),
            "sweep": rng.uniform(-20, 20, (500 + i, 4)).astype(np.float32),
            "speed_mps": np.array([float(i)], np.float32),
            "target_point": np.array([20.0, i], np.float32),
        }
        for i in range(n)
    ]


def test_answers_come_in_the_order_of_the_requests(folder: Path) -> None:
    predictor = Predictor.load(folder)
    asked = requests(3)
    together = [answer["waypoints"] for answer in predictor.predict(asked)]
    alone = [predictor.predict([one])[0]["waypoints"] for one in asked]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(np.asarray(alone[0]) - np.asarray(alone[2])).max() > 1e-3, "the requests must be told apart"


def test_several_threads_get_the_same_answers_as_one(folder: Path) -> None:
    predictor = Predictor.load(folder)
    asked = requests(4) * 3
    expected = [predictor.predict([one])[0]["waypoints"] for one in asked]
    with ThreadPoolExecutor(4) as pool:
        answers = [answer[0]["waypoints"] for answer in pool.map(lambda one: predictor.predict([one]), asked)]
    np.testing.assert_array_equal(answers, expected)


def test_a_predictor_says_what_it_is_of_and_warms_up(folder: Path) -> None:
    predictor = Predictor.load(str(folder))
    predictor.warm_up()
    assert predictor.experiment.name == "example"
    assert [tensor.name for tensor in predictor.signature.inputs] == ["image", "sweep", "speed_mps", "target_point"]
    assert predictor.predict([]) == []


def test_a_model_that_would_be_fetched_is_loaded_without_fetching(folder: Path, tmp_path: Path) -> None:
    loaded = Predictor.load(folder)
    fetching = loaded.experiment.override({"model.pretrained": True, "model.image_encoder": "resnet10t"})
    save_best(tmp_path / "best", fetching, loaded.model, Scores(epoch=1, step=1, metrics={}))
    assert Predictor.load(tmp_path / "best").experiment.model.pretrained


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"experiment\.json: is missing"):
        Predictor.load(tmp_path / "nowhere")


def test_a_predictor_that_openvino_runs_answers_as_pytorch_does(folder: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    predictor = Predictor.load(folder)
    ready = predictor.ready("auto")
    assert (predictor.engine, ready.engine) == ("torch", "openvino")
    for ours, theirs in zip(ready.predict(requests(3)), predictor.predict(requests(3)), strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, atol=1e-4)
    assert ready.attention(requests(1)[0]) is not None, "it looks at the model itself"


def test_without_openvino_pytorch_runs_the_model_and_only_who_asked_for_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("fusegpt.predictor", "fusegpt.nn.exported"):
        monkeypatch.setattr(f"{module}.available", lambda: False)
    predictor = Predictor.load(folder)
    assert predictor.ready("auto").engine == "torch"
    assert not caplog.records
    assert predictor.ready("openvino").engine == "torch"
    assert "example is run by PyTorch, not by OpenVINO: it is not installed" in caplog.text


def test_where_openvino_answers_otherwise_pytorch_runs_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    monkeypatch.setattr("fusegpt.nn.exported.agree", lambda *_outputs: False)
    assert Predictor.load(folder).ready("auto").engine == "torch"
    assert "its answers to 1 at once are not those of the model" in caplog.text
