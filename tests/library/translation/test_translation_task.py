"""Translation as a task: losses, figures, requests and answers, pictures, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import experiments
from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from fusegpt.predictor import Predictor
from fusegpt.signature import InputError
from fusegpt.tasks.translation.task import TranslationTask
from fusegpt.training.loop import train

SMALL = {
    "data.train_samples": 48,
    "data.val_samples": 12,
    "data.test_samples": 12,
    "data.languages": ["de", "ko"],
    "model.n_embd": 16,
    "model.n_layer": 1,
    "training.epochs": 1,
    "training.batch_size": 16,
}


def small(**settings: object) -> Experiment:
    return experiments.load("translation").override({**SMALL, **settings})


def task_of(experiment: Experiment) -> TranslationTask:
    return TranslationTask(experiment)


def test_the_loss_is_the_smoothed_cross_entropy_of_the_tokens_that_are_no_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = task_of(small())
    model = task.build_model().eval()
    batch = task.open_splits(tmp_path).train.batch(np.arange(3))
    batch["target"][1, 6:] = 0  # one shorter target
    losses = task.losses(model, batch)["loss"]
    logits = model(batch["source"], batch["target"][:, :-1])
    for i in range(3):
        truth = batch["target"][i, 1:]
        keep = truth != 0
        expected = F.cross_entropy(logits[i][keep], truth[keep], label_smoothing=0.1)
        torch.testing.assert_close(losses[i], expected)


def test_an_untrained_model_is_as_surprised_as_a_guess(tmp_path: Path) -> None:
    task = task_of(small())
    batch = task.open_splits(tmp_path).val.batch(np.arange(4))
    figures = task.metrics(task.build_model().eval(), batch)
    assert set(figures) == {"exact_match", "nats_per_token"}
    assert figures["nats_per_token"].mean() > 0.7 * math.log(259)
    assert figures["exact_match"].tolist() == [0.0] * 4


def test_a_few_pairs_are_learnt_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = task_of(small(**{"model.n_embd": 32, "task.label_smoothing": 0.0}))
    model = task.build_model()
    batch = task.open_splits(tmp_path).train.batch(np.arange(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        task.losses(model, batch)["loss"].mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert task.metrics(model.eval(), batch)["exact_match"].tolist() == [1.0, 1.0]


def test_a_trained_model_answers_texts_and_draws_its_figures(tmp_path: Path) -> None:
    experiment = small(**{"task.beam_width": 2})
    result = train(experiment, tmp_path / "trial", tmp_path)
    assert {"val/exact_match", "val/nats_per_token"} <= set(result.metrics)
    predictor = Predictor.load(result.best)
    answers = predictor.predict([{"text": np.asarray("3. April 2005")}, {"text": np.asarray("2005년 4월 3일 일요일")}])
    assert [answer["translation"].shape for answer in answers] == [(), ()]
    assert all(isinstance(answer["translation"].item(), str) for answer in answers)
    predictor.warm_up((1, 2))
    pictures = predictor.task.draw(predictor.model, predictor.task.open_splits(tmp_path).val, tmp_path / "pictures")
    assert [picture.suffix for picture in pictures] == [".png"]
    assert all(picture.stat().st_size > 1000 for picture in pictures)


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({}, "text: is missing"),
        ({"text": np.asarray("x" * 96)}, "text: has 96 bytes, at most 95 fit"),
        ({"text": np.asarray(3.0)}, "text: must be one text, not float64"),
        ({"text": np.asarray(["a", "b"])}, "text: must be one text"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(request_: dict[str, np.ndarray], wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        task_of(small()).encode([request_])


def test_a_text_may_come_as_bytes_and_in_a_list_of_one() -> None:
    task = task_of(small())
    plain = task.encode([{"text": np.asarray("é")}])["source"]
    as_bytes = task.encode([{"text": np.asarray(["é".encode()], dtype=object)}])["source"]
    assert torch.equal(plain, as_bytes)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"model.block_size": 40}, r"model\.block_size \(40\) must be at least 96"),
        ({"task.max_target_tokens": 200}, r"task\.max_target_tokens \(200\) must not be above model\.block_size"),
        ({"model.norm": "batchnorm"}, r"model\.norm \(batchnorm\)"),
        ({"model.n_head": 3}, r"model\.n_embd \(64\) must be a multiple of model\.n_head \(3\)"),
        ({"data.source": "world"}, r"data\.source must be dates or parallel_text"),
        ({"model.kind": "gpt"}, r"model\.kind must be encoder_decoder"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(SettingError, match=wrong):
        experiments.load("translation").override(settings)
