"""Classification as a task, for both of its models: losses, requests and answers, pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import experiments
from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from fusegpt.predictor import Predictor
from fusegpt.signature import InputError
from fusegpt.tasks.classification.task import ClassificationTask
from fusegpt.training.loop import train

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("row_classifier", {"model.cell": "rnn"}),
    "lstm": ("row_classifier", {"model.cell": "lstm", "model.n_layer": 2, "model.pdrop": 0.1}),
    "gru": ("row_classifier", {"model.cell": "gru"}),
    "vit": ("image_classifier", {"model.n_layer": 1, "model.n_embd": 16}),
    "colour vit": ("image_classifier", {"model.n_layer": 1, "model.n_embd": 16, "model.image_channels": 3}),
    "batchnorm": ("norms", {"model.norm": "batchnorm", "model.n_layer": 1}),
}


@pytest.fixture(params=VARIANTS)
def experiment(request: pytest.FixtureRequest) -> Experiment:
    name, settings = VARIANTS[request.param]
    return experiments.load(name).override({**settings, "data.image_px": 14})


def test_the_gradient_reaches_every_parameter(experiment: Experiment, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = ClassificationTask(experiment)
    model = task.build_model()
    losses = task.losses(model, task.open_splits(tmp_path).train.batch(np.arange(4)))
    assert losses["loss"].shape == (4,)
    losses["loss"].sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_few_pictures_are_learnt_by_heart(experiment: Experiment, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = ClassificationTask(experiment)
    model = task.build_model()
    batch = task.open_splits(tmp_path).train.batch(np.arange(8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        task.losses(model, batch)["loss"].mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert task.metrics(model.eval(), batch)["accuracy"].mean() == 1.0


def test_a_request_is_scaled_as_the_data_is(experiment: Experiment, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    task = ClassificationTask(experiment)
    known = task.open_splits(tmp_path).test.batch(np.arange(3))["image"]
    digits = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    encoded = torch.cat([task.encode([{"image": digit[..., None]}])["image"] for digit in digits])
    matches = [(encoded == one).flatten(1).all(1).any() for one in known]
    assert all(matches)


@pytest.mark.parametrize("name", ["row_classifier", "image_classifier"])
def test_a_trained_model_answers_pictures_and_draws_its_figures(name: str, tmp_path: Path) -> None:
    small = {"training.epochs": 1, "model.n_embd": 16, "model.n_layer": 1, "data.image_px": 14}
    experiment = experiments.load(name).override({**small, "data.val_fraction": 0.45, "data.test_fraction": 0.45})
    result = train(experiment, tmp_path / "trial", tmp_path)
    assert {"val/accuracy", "val/cross_entropy"} <= set(result.metrics)
    predictor = Predictor.load(result.best)
    picture = np.zeros((40, 30, 1), np.uint8)
    (answer,) = predictor.predict([{"image": picture}])
    assert answer["probabilities"].sum() == pytest.approx(1.0, abs=1e-5)
    assert answer["class"].tolist() == [int(answer["probabilities"].argmax())]
    predictor.warm_up((1, 2))
    pictures = predictor.task.draw(predictor.model, predictor.task.open_splits(tmp_path).val, tmp_path / "pictures")
    assert all(drawn.stat().st_size > 1000 for drawn in pictures)


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({}, "image: is missing"),
        ({"image": np.zeros((8, 8, 1))}, "image: must be uint8, 0 to 255, not float64"),
        ({"image": np.zeros((8, 8, 3), np.uint8)}, r"image: must have the shape \(height, width, 1\)"),
        ({"image": np.zeros((0, 8, 1), np.uint8)}, r"image: must have the shape \(height, width, 1\)"),
        ({"image": np.zeros((9000, 1, 1), np.uint8)}, "image: is too large"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(request_: dict[str, np.ndarray], wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        ClassificationTask(experiments.load("row_classifier")).encode([request_])


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"model.patch_px": 5}, r"data\.image_px \(28\) must be a multiple of model\.patch_px \(5\)"),
        ({"model.kind": "gpt"}, r"model\.kind must be row_recurrent or vision_transformer"),
        ({"data.source": "text"}, r"data\.source must be digits"),
        ({"model.n_head": 3}, r"model\.n_embd \(64\) must be a multiple of model\.n_head \(3\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(SettingError, match=wrong):
        experiments.load("image_classifier").override(settings)
