"""Two versions side by side: real models, timed in turns, and what a client would stumble over."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

import experiments
from fusegpt.signature import Signature, Tensor
from fusegpt.training.checkpoint import Scores, save_best
from service.registry.gate import GateConfig
from service.registry.side_by_side import breaks, checks, compare, in_turns

IMAGE = Tensor(name="image", dtype="uint8", shape=(-1, -1, 3), media="image")
SPEED = Tensor(name="speed_mps", dtype="float32", shape=(1,))
WAY = Tensor(name="waypoints", dtype="float32", shape=(4, 2))
SIGNATURE = Signature(inputs=(IMAGE, SPEED), outputs=(WAY,))


def test_a_model_beside_itself_is_as_fast_as_large_and_takes_the_same(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    experiment = experiments.load("row_classifier")
    model = experiment.task.build(experiment).build_model()
    save_best(tmp_path / "best", experiment, model, Scores(epoch=1, step=1, metrics={}))
    found = compare(tmp_path / "best", tmp_path / "best", GateConfig(latency_turns=9))
    assert (found.size, found.breaks) == (found.champion_size, "")
    assert found.size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert 0.5 < found.slower < 2
    assert [check.name for check in checks(found, GateConfig(latency_ratio=3))] == ["latency", "size", "signature"]


def test_turns_see_the_same_moments_and_end_in_time() -> None:
    turns = in_turns(lambda: time.sleep(0.02), lambda: time.sleep(0.001), GateConfig(latency_turns=7))
    assert len(turns) == 7
    assert sorted(new / old for new, old in turns)[3] > 1.5
    assert len(in_turns(lambda: time.sleep(0.01), lambda: None, GateConfig(latency_s=0.001))) == 3


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (SIGNATURE, ""),
        (Signature(inputs=(IMAGE,), outputs=(WAY,)), "it has no input speed_mps"),
        (Signature(inputs=(IMAGE, SPEED, WAY), outputs=(WAY,)), "takes the new input waypoints"),
        (Signature(inputs=(IMAGE, SPEED), outputs=(WAY, SPEED)), ""),
        (Signature(inputs=(IMAGE, SPEED), outputs=(SPEED,)), "has no output waypoints"),
        (
            Signature(inputs=(IMAGE, SPEED.model_copy(update={"shape": (2,)})), outputs=(WAY,)),
            "has the input speed_mps as float32 [2] numbers, not float32 [1] numbers",
        ),
        (
            Signature(inputs=(IMAGE.model_copy(update={"max_rows": 9}), SPEED), outputs=(WAY,)),
            "takes 9 rows of image at most, not 200000",
        ),
    ],
)
def test_what_would_break_a_client_is_named(new: Signature, said: str) -> None:
    assert said in breaks(new, SIGNATURE)
    assert bool(said) == bool(breaks(new, SIGNATURE))
