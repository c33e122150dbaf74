"""Training and serving see the same: a packed sample, and the raw one sent as a request."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusegpt.data import WorldData
from fusegpt.data.lidar import BevGrid
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.predictor import Predictor
from fusegpt.tasks import WaypointsConfig
from fusegpt.tasks.task import Batch, Splits
from fusegpt.training.checkpoint import read_scores
from fusegpt.training.config import TrainingConfig
from fusegpt.training.evaluate import evaluate
from fusegpt.training.loop import train

SMALL: dict[str, Any] = {
    "image_encoder": "convnext_atto",
    "lidar_encoder": "convnext_atto",
    "stages": (4,),
    "n_embd": 16,
    "n_head": 2,
    "n_layer": 1,
    "image_anchors": (1, 2),
    "lidar_anchors": (2, 2),
    "waypoint_prior": "constant_velocity",
}


def an_experiment() -> Experiment:
    data = WorldData(
        n_drives=3,
        seconds_per_drive=8.0,
        rate_hz=2.0,
        lidar_rings=8,
        lidar_azimuths=120,
        image_height_px=32,
        image_width_px=64,
        lidar=BevGrid(px_per_m=1.0),
    ).model_copy(update={"flip_probability": 0.5})
    training = TrainingConfig(epochs=2, batch_size=8, lr=1e-3, precision="fp32")
    return Experiment(name="example", task=WaypointsConfig(), model=FusionConfig(**SMALL), data=data, training=training)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def splits(cache: Path) -> Splits:
    experiment = an_experiment()
    return experiment.task.build(experiment).open_splits(cache)


@pytest.fixture(scope="module")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trial")
    train(an_experiment(), folder, cache)
    return folder


def test_a_packed_sample_and_the_raw_one_as_a_request_are_the_same_batch(splits: Splits) -> None:
    experiment = an_experiment()
    reader = experiment.data.reader()  # type: ignore[union-attr]
    raw = {(one.drive, one.frame): one for one in chain.from_iterable(map(reader.samples, reader.drives()))}
    split: Any = splits.train
    indices = np.arange(len(split))
    moments = [split.sample_of(index) for index in indices]
    requests: list[Any] = [
        {
            "image": one.image,
            "sweep": one.sweep,
            "speed_mps": np.array([one.speed_mps], np.float32),
            "target_point": one.target_point,
        }
        for one in (raw[moment.drive, moment.frame] for moment in moments)
    ]
    packed: Batch = split.batch(indices)
    for name, sent in experiment.task.build(experiment).encode(requests).items():
        assert sent.dtype == packed[name].dtype, name
        assert torch.equal(sent, packed[name]), name


def test_evaluating_the_kept_model_gives_the_figures_of_its_training(trained: Path, cache: Path) -> None:
    kept = Predictor.load(trained / "best")
    found = evaluate(trained / "best", cache, "val")
    reported = read_scores(trained / "best").metrics
    assert {f"val/{name}": value for name, value in found.metrics.items()} == pytest.approx(
        {name: value for name, value in reported.items() if name.startswith("val/")}, rel=1e-5
    )
    assert found.per_sample["ade_m"].shape == (len(kept.task.open_splits(cache).val),)
    assert found.per_sample["ade_m"].mean() == pytest.approx(found.metrics["ade_m"])


def test_the_predictor_says_what_the_model_says_of_the_packed_sample(trained: Path, splits: Splits) -> None:
    predictor = Predictor.load(trained / "best")
    batch = splits.test.batch(np.array([0]))
    with torch.inference_mode():
        expected = predictor.task.predict(predictor.model, batch)["waypoints"][0].numpy()
    image = batch["image"][0].permute(1, 2, 0).numpy()
    request: dict[str, Any] = {
        "image": image,
        "sweep": np.zeros((1, 4), np.float32) - 1000,  # nothing inside the grid
        "speed_mps": batch["speed_mps"][0].numpy(),
        "target_point": batch["target_point"][0].numpy(),
    }
    answer = predictor.predict([request])[0]["waypoints"]
    assert not np.array_equal(answer, expected), "the sweep must matter"
    batch["lidar"].zero_()
    with torch.inference_mode():
        expected = predictor.task.predict(predictor.model, batch)["waypoints"][0].numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_predictor_that_is_ready_says_the_same(trained: Path) -> None:
    predictor = Predictor.load(trained / "best")
    ready = predictor.ready()
    assert ready.model is not predictor.model
    request = predictor.example() | {"image": np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)}
    for name, value in predictor.predict([request])[0].items():
        np.testing.assert_allclose(ready.predict([request])[0][name], value, atol=1e-4)


def test_the_pictures_of_a_split_are_drawn(trained: Path, splits: Splits, tmp_path: Path) -> None:
    predictor = Predictor.load(trained / "best")
    pictures = predictor.task.draw(predictor.model, splits.val, tmp_path / "pictures")
    assert [picture.name for picture in pictures] == ["waypoints.png", "attention.png"]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
