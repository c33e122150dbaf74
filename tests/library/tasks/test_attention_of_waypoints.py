"""Where a fusion model's tokens look: each LiDAR token at its own ground, whatever the layout of the histogram."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import experiments
from fusegpt.predictor import Predictor
from fusegpt.tasks.attention import Attends, Attention
from fusegpt.tasks.waypoints.attention import INPUTS, attention
from fusegpt.training.loop import train


def small(**settings: object) -> Predictor:
    experiment = experiments.load("fusion_waypoints").override(
        {"model.image_encoder": "resnet10t", "model.lidar_encoder": "resnet10t", "model.n_embd": 16, **settings}
    )
    task = experiment.task.build(experiment)
    torch.manual_seed(0)
    return Predictor(experiment, task, task.build_model(), torch.device("cpu"))


def request() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(0, 32, 500), rng.uniform(-16, 16, 500), np.zeros(500), np.zeros(500)])
    return {
        "image": rng.integers(0, 255, (64, 192, 3), dtype=np.uint8),
        "sweep": points.astype(np.float32),
        "speed_mps": np.array([5.0], np.float32),
        "target_point": np.array([20.0, 0.0], np.float32),
    }


GRID = Attention(np.zeros((1, 18, 18)), (2, 1), (4, 4), (0.0, 32.0), (-16.0, 16.0))


def test_the_first_lidar_token_is_far_ahead_on_the_left() -> None:
    assert GRID.cell(2) == (24.0, 32.0, 8.0, 16.0)
    assert GRID.cell(17) == (0.0, 8.0, -16.0, -8.0)


@pytest.mark.parametrize("token", range(2, 18))
def test_the_token_at_the_middle_of_its_ground_is_itself(token: int) -> None:
    x_min, x_max, y_min, y_max = GRID.cell(token)
    assert GRID.token_at((x_min + x_max) / 2, (y_min + y_max) / 2) == token


def test_a_point_beside_the_grid_has_the_nearest_token() -> None:
    assert GRID.token_at(100.0, 100.0) == 2
    assert GRID.token_at(-5.0, -100.0) == 17


def test_each_token_s_attention_sums_to_one_and_the_model_answers_as_before() -> None:
    predictor = small()
    before = copy.deepcopy(predictor.model.state_dict())
    found = predictor.attention(request())
    assert found is not None
    assert found.weights.shape == (4, 28, 28)
    np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=1e-5)
    assert found.to_image(found.token_at(10, 0)).shape == (4, 2, 6)
    assert not any(module._forward_pre_hooks for module in predictor.model.modules())
    assert all(torch.equal(value, before[key]) for key, value in predictor.model.state_dict().items())


@pytest.mark.parametrize("layout", ["ahead_up", "cvpr2021", "carla_garage", "navsim"])
def test_a_token_s_attention_is_found_at_its_ground_in_any_layout(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = small(**{"data.lidar.layout": layout})
    batch = predictor.encode([{**request(), "sweep": np.array([[30.0, 14.0, 0.0, 0.0]], np.float32)}])
    # The tokens of the model look at where the only point is: at the token that its histogram falls into.
    rows, columns = batch["lidar"].shape[-2:]
    _, row, column = np.argwhere(batch["lidar"][0].numpy() > 0)[0]
    raw = 12 + (row * 4 // rows) * 4 + column * 4 // columns
    looks = torch.zeros(1, 1, 1, 28, 28)
    looks[..., raw] = 1
    monkeypatch.setattr(type(predictor.model), "attention_maps", lambda *_: [looks])
    found = attention(predictor.model, batch, predictor.task.data.lidar)  # type: ignore[arg-type, attr-defined]
    assert found is not None
    assert found.weights[0, 0].argmax() == found.token_at(30.0, 14.0) == 12


def test_late_fusion_has_no_attention_to_show() -> None:
    assert small(**{"model.fusion": "late"}).attention(request()) is None


def test_a_task_without_tokens_of_two_kinds_does_not_attend() -> None:
    experiment = experiments.load("row_classifier")
    assert not isinstance(experiment.task.build(experiment), Attends)
    assert isinstance(small().task, Attends)
    assert INPUTS == ("image", "lidar", "speed_mps", "target_point")


@pytest.mark.slow
def test_the_best_model_s_attention_is_one_of_its_pictures(tmp_path: Path) -> None:
    experiment = small().experiment.override({"training.epochs": 1, "data.n_drives": 4, "data.seconds_per_drive": 6.0})
    train(experiment, tmp_path / "trial", tmp_path / "cache", lambda _: None)
    predictor = Predictor.load(tmp_path / "trial" / "best")
    splits = predictor.task.open_splits(tmp_path / "cache")
    drawn = predictor.task.draw(predictor.model, splits.val, tmp_path / "pictures")
    assert [file.name for file in drawn] == ["waypoints.png", "attention.png"]
