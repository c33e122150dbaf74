"""Waypoint imitation: losses and figures by hand, answers, and what a request must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.data import WorldData
from fusegpt.data.sample import DataError
from fusegpt.experiment import Experiment
from fusegpt.models import FusionConfig
from fusegpt.signature import InputError
from fusegpt.tasks import WaypointsConfig
from fusegpt.tasks.task import Batch
from fusegpt.tasks.waypoints.task import WaypointsTask

T = 4


def a_task(task: WaypointsConfig | None = None, **model: Any) -> WaypointsTask:
    data = WorldData(image_height_px=32, image_width_px=64)
    return WaypointsTask(
        Experiment(name="example", task=task or WaypointsConfig(), model=FusionConfig(**model), data=data)
    )


class Says(nn.Module):
    """A model that always says the same."""

    def __init__(self, **outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *inputs: torch.Tensor) -> Batch:
        assert len(inputs) == 4
        return self.outputs


def a_batch(waypoints: torch.Tensor, speed: float = 2.0, **labels: torch.Tensor) -> Batch:
    n = len(waypoints)
    return {
        "image": torch.zeros(n, 3, 32, 64, dtype=torch.uint8),
        "lidar": torch.zeros(n, 2, 128, 128),
        "speed_mps": torch.full((n, 1), speed),
        "target_point": torch.zeros(n, 2),
        "waypoints": waypoints,
        **labels,
    }


def a_request(**changes: Any) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    request = {
        "image": rng.integers(0, 256, (50, 90, 3), dtype=np.uint8),
        "sweep": rng.uniform(-20, 20, (500, 4)).astype(np.float32),
        "speed_mps": np.array([5.0], np.float32),
        "target_point": np.array([20.0, 1.0], np.float32),
    }
    return {**request, **changes}


def test_the_figures_are_those_computed_by_hand() -> None:
    truth = torch.tensor([[[1.0, 0], [2, 0], [3, 0], [4, 0]]])  # straight on at 2 m/s
    off = torch.tensor([[[0.0, 0], [0, 0], [0, 0], [3, 4]]])
    figures = {
        name: float(value) for name, value in a_task().metrics(Says(waypoints=truth + off), a_batch(truth)).items()
    }
    assert figures == pytest.approx(
        {
            "ade_m": 5 / 4,
            "fde_m": 5.0,
            "l1_m": 7 / 8,
            "error_0.5s_m": 0.0,
            "error_1s_m": 0.0,
            "error_1.5s_m": 0.0,
            "error_2s_m": 5.0,
            "constant_velocity_ade_m": 0.0,
            "constant_velocity_fde_m": 0.0,
        }
    )


def test_the_baseline_goes_straight_on_at_the_present_speed() -> None:
    truth = torch.zeros(1, T, 2)
    figures = a_task().metrics(Says(waypoints=truth), a_batch(truth, speed=4.0))
    assert float(figures["constant_velocity_ade_m"]) == pytest.approx(4 * (0.5 + 1 + 1.5 + 2) / 4)
    assert float(figures["constant_velocity_fde_m"]) == pytest.approx(8.0)


def test_the_headline_is_one_of_the_figures() -> None:
    figures = a_task().metrics(Says(waypoints=torch.zeros(2, T, 2)), a_batch(torch.zeros(2, T, 2)))
    assert a_task().headline.name in {f"val/{name}" for name in figures}
    assert all(value.shape == (2,) for value in figures.values())


def test_the_loss_is_the_mean_l1_of_each_sample() -> None:
    predicted = torch.tensor([1.0, 3.0])[:, None, None].expand(2, T, 2)
    losses = a_task().losses(Says(waypoints=predicted), a_batch(torch.zeros(2, T, 2)))
    assert losses.keys() == {"loss"}
    assert losses["loss"].tolist() == [1.0, 3.0]


def test_auxiliary_losses_are_weighted_and_reported() -> None:
    task = a_task(WaypointsConfig(depth_weight=3.0, bev_semantics_weight=0.5), auxiliary=("bev_semantics", "depth"))
    zeros = torch.zeros(2, T, 2)
    model = Says(waypoints=zeros + 1, bev_semantics=torch.zeros(2, 3, 8, 8), depth=torch.full((2, 32, 64), 0.5))
    labels = {
        "label_bev_semantics": torch.zeros(2, 8, 8, dtype=torch.uint8),
        "label_depth_m": torch.full((2, 32, 64), 80.0),  # beyond the greatest depth: counts as 1
    }
    losses = task.losses(model, a_batch(zeros, **labels))
    assert losses["depth"].tolist() == pytest.approx([0.5, 0.5])
    assert losses["bev_semantics"].tolist() == pytest.approx([np.log(3)] * 2)
    assert losses["loss"].tolist() == pytest.approx([1 + 3 * 0.5 + 0.5 * np.log(3)] * 2)


def test_auxiliary_outputs_without_labels_are_refused_naming_the_setting() -> None:
    task = a_task(auxiliary=("depth",))
    model = Says(waypoints=torch.zeros(1, T, 2), depth=torch.zeros(1, 32, 64))
    with pytest.raises(DataError, match=r"model\.auxiliary: asks for depth"):
        task.losses(model, a_batch(torch.zeros(1, T, 2)))


def test_a_request_of_any_image_size_becomes_the_models_size() -> None:
    batch = a_task().encode([a_request(), a_request(image=np.zeros((32, 64, 3), np.uint8))])
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "image": (2, 3, 32, 64),
        "lidar": (2, 2, 128, 128),
        "speed_mps": (2, 1),
        "target_point": (2, 2),
    }
    assert batch["image"].dtype == torch.uint8
    assert {batch[name].dtype for name in ("lidar", "speed_mps", "target_point")} == {torch.float32}


def test_an_answer_is_what_the_signature_promises() -> None:
    task = a_task()
    outputs = {"waypoints": torch.tensor([[[2.5, 0], [5, 0], [7.5, 0], [10, 0]]]), "speed_mps": torch.tensor([[5.0]])}
    answer = task.decode(outputs)[0]
    assert {name: (value.shape, str(value.dtype)) for name, value in answer.items()} == {
        tensor.name: (tensor.shape, tensor.dtype) for tensor in task.signature.outputs
    }
    assert float(answer["steer"][0]) == pytest.approx(0.0)
    assert float(answer["brake"][0]) == 0.0


def test_one_answer_does_not_depend_on_the_one_before() -> None:
    task = a_task()
    curve = torch.tensor([[[2.0, 1.0], [4, 3], [5, 5], [6, 8]]]).expand(3, T, 2)
    answers = task.decode({"waypoints": curve, "speed_mps": torch.full((3, 1), 4.0)})
    assert len({float(answer["steer"][0]) for answer in answers}) == 1


def broken_sweep() -> NDArray[np.float32]:
    sweep = np.zeros((5, 4), np.float32)
    sweep[3, 1] = np.nan
    return sweep


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("image", np.zeros((50, 90), np.uint8), r"shape \(any, any, 3\), not \(50, 90\)"),
        ("image", np.zeros((50, 90, 4), np.uint8), r"shape"),
        ("image", np.zeros((50, 90, 3), np.float32), "must be uint8"),
        ("image", np.zeros((4, 90, 3), np.uint8), "90 x 4 pixels"),
        ("image", np.zeros((0, 0, 3), np.uint8), "0 x 0 pixels"),
        ("image", np.zeros((8193, 8, 3), np.uint8), "too large"),
        ("sweep", np.zeros((5, 3), np.float32), r"shape \(any, 4\)"),
        ("sweep", np.zeros((0, 4), np.float32), "no points"),
        ("sweep", np.zeros((1_000_001, 4), np.float32), "too large"),
        ("sweep", broken_sweep(), "point 3 is not finite"),
        ("speed_mps", np.array([np.nan]), "from 0 to 100"),
        ("speed_mps", np.array([-1.0]), "from 0 to 100"),
        ("speed_mps", np.array([101.0]), "from 0 to 100"),
        ("speed_mps", np.array([1.0, 2.0]), "shape"),
        ("speed_mps", np.array(["fast"]), "must be float32 numbers"),
        ("target_point", np.array([np.inf, 0]), "within 1000 metres"),
        ("target_point", np.array([0, -1000.0]), "within 1000 metres"),
        ("target_point", np.array([1.0]), "shape"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        a_task().encode([a_request(), a_request(**{field: value})])
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["image", "sweep", "speed_mps", "target_point"])
def test_a_missing_field_is_named(field: str) -> None:
    request = a_request()
    del request[field]
    with pytest.raises(InputError, match="is missing") as caught:
        a_task().encode([request])
    assert caught.value.field == field


@pytest.mark.parametrize("speed", [5, 5.0, np.float64(5), np.array(5), np.array([5])])
def test_a_speed_may_be_a_bare_number(speed: Any) -> None:
    assert a_task().encode([a_request(speed_mps=speed)])["speed_mps"].tolist() == [[5.0]]
