"""Text to image as a task: losses and figures, requests and answers, pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import experiments
from fusegpt.config import SettingError
from fusegpt.data.shapes.scene import MAX_WORDS, WORDS
from fusegpt.experiment import Experiment
from fusegpt.predictor import Predictor
from fusegpt.signature import InputError
from fusegpt.tasks.text_to_image.task import EXAMPLE, TextToImageTask
from fusegpt.training.loop import train

SMALL = {
    "training.epochs": 1,
    "training.batch_size": 8,
    "data.train_samples": 32,
    "data.val_samples": 6,
    "data.test_samples": 6,
    "model.vae_steps": 2,
    "model.n_layer": 1,
    "model.n_embd": 16,
    "model.vae_channels": 8,
    "model.codes": 8,
}
FIGURES = ("accuracy", "count", "colour", "shape", "size", "relation")


@pytest.fixture
def experiment() -> Experiment:
    return experiments.load("text_to_image").override(SMALL)


@pytest.fixture
def task(experiment: Experiment) -> TextToImageTask:
    return TextToImageTask(experiment)


def test_a_trained_model_draws_what_it_is_told_and_its_figures(experiment: Experiment, tmp_path: Path) -> None:
    result = train(experiment, tmp_path / "trial", tmp_path)
    assert {f"val/{name}" for name in (*FIGURES, "reconstructed", "codes")} <= set(result.metrics)
    predictor = Predictor.load(result.best)
    (answer, again) = predictor.predict([{"text": np.asarray(EXAMPLE)}, {"text": np.asarray(EXAMPLE.upper())}])
    assert (answer["image"].shape, answer["image"].dtype) == ((32, 32, 3), np.uint8)
    np.testing.assert_array_equal(answer["image"], again["image"])
    assert str(predictor.example()["text"]) == EXAMPLE
    predictor.warm_up((1, 2))
    pictures = predictor.task.draw(predictor.model, predictor.task.open_splits(tmp_path).val, tmp_path / "pictures")
    assert [picture.name for picture in pictures] == ["drawn.png", "reconstructed.png"]
    assert all(picture.stat().st_size > 1000 for picture in pictures)


def test_the_figures_are_the_judges_own(task: TextToImageTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that draws the true picture is right in all, and one that draws another's in little."""
    split = task.open_splits(tmp_path).val
    batch, model = split.batch(np.arange(6)), task.build_model().eval()
    monkeypatch.setattr(model, "decode", lambda codes: batch["image"][: len(codes)])
    assert all(task.metrics(model, batch)[name].mean() == 1 for name in (*FIGURES, "reconstructed"))
    monkeypatch.setattr(model, "decode", lambda codes: batch["image"][: len(codes)].flip(0))
    assert task.metrics(model, batch)["accuracy"].mean() < 0.5


def test_a_caption_is_read_as_the_datas_own(task: TextToImageTask, tmp_path: Path) -> None:
    ours = task.encode([{"text": np.asarray("Small red circle above blue square")}])["caption"]
    assert [WORDS[token] for token in ours[0].tolist() if token] == EXAMPLE.split()
    split = task.open_splits(tmp_path).test.batch(np.arange(6))
    assert ours.dtype == split["caption"].dtype
    assert ours.shape[1:] == split["caption"].shape[1:] == (MAX_WORDS,)


def test_an_empty_caption_asks_for_any_picture(task: TextToImageTask) -> None:
    assert not task.encode([{"text": np.asarray(" ")}])["caption"].any()


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({}, "text: is missing"),
        ({"text": np.asarray("a pink circle")}, "text: 'pink' is no word of the captions; write .*red"),
        ({"text": np.asarray("a red circle above")}, "text: .*write"),
        ({"text": np.zeros(3)}, "text: must be one text"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(
    task: TextToImageTask, request_: dict[str, np.ndarray], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        task.encode([request_])


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"model.kind": "gpt"}, r"model\.kind must be text_to_image"),
        ({"data.source": "digits"}, r"data\.source must be shapes"),
        ({"model.caption_pdrop": 0}, r"task\.guidance \(\S+\) needs model\.caption_pdrop above 0"),
        ({"model.n_head": 3}, r"model\.n_embd \(16\) must be a multiple of model\.n_head \(3\)"),
        ({"data.image_px": 40}, r"data\.image_px: .*multiple of 16"),
        ({"data.val_fraction": 0.8}, r"data\.val_fraction \+ data\.test_fraction \(0\.8 \+ 0\.2\) must be below 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(
    experiment: Experiment, settings: dict[str, object], wrong: str
) -> None:
    with pytest.raises(SettingError, match=wrong):
        experiment.override(settings)


def test_without_guidance_no_caption_need_be_hidden(experiment: Experiment, tmp_path: Path) -> None:
    task = TextToImageTask(experiment.override({"model.caption_pdrop": 0, "task.guidance": 1}))
    batch = task.open_splits(tmp_path).train.batch(np.arange(4))
    model = task.build_model().eval()
    assert task.predict(model, batch)["image"].shape == (4, 3, 32, 32)
    assert torch.isfinite(task.losses(model, batch)["loss"]).all()
