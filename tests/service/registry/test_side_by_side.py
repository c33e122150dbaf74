"""Two versions side by side: real models, timed in turns, and what a client would stumble over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import experiments
from fusegpt.signature import Signature, Tensor
from fusegpt.training.checkpoint import Scores, save_best
from service.registry import side_by_side
from service.registry.gate import GateConfig
from service.registry.side_by_side import breaks, checks, compare, in_turns

IMAGE = Tensor(name="image", dtype="uint8", shape=(-1, -1, 3), media="image")
SPEED = Tensor(name="speed_mps", dtype="float32", shape=(1,))
WAY = Tensor(name="waypoints", dtype="float32", shape=(4, 2))
SIGNATURE = Signature(inputs=(IMAGE, SPEED), outputs=(WAY,))


class Clock:
    """Goes as what is timed says, or by a millisecond at each look."""

    def __init__(self) -> None:
        self.now, self.step_s = 0.0, 0.0

    def perf_counter(self) -> float:
        self.now += self.step_s
        return self.now

    def takes(self, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += seconds

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(side_by_side, "time", clock)
    return clock


def test_a_model_beside_itself_is_as_fast_as_large_and_takes_the_same(tmp_path: Path, clock: Clock) -> None:
    clock.step_s = 0.001
    torch.set_num_threads(1)
    experiment = experiments.load("row_classifier")
    model = experiment.task.build(experiment).build_model()
    save_best(tmp_path / "best", experiment, model, Scores(epoch=1, step=1, metrics={}))
    found = compare(tmp_path / "best", tmp_path / "best", GateConfig(latency_turns=9))
    assert (found.size, found.breaks) == (found.champion_size, "")
    assert found.size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (found.forward_ms, found.slower) == (pytest.approx(1.0), pytest.approx(1.0))
    assert [check.name for check in checks(found, GateConfig(latency_ratio=3))] == ["latency", "size", "signature"]


def test_turns_time_each_of_the_two_and_end_in_time(clock: Clock) -> None:
    turns = in_turns(clock.takes(0.02), clock.takes(0.001), GateConfig(latency_turns=7))
    assert turns == [(pytest.approx(0.02), pytest.approx(0.001))] * 7
    assert len(in_turns(clock.takes(2.0), clock.takes(0.0), GateConfig(latency_s=9.0))) == 5
    assert len(in_turns(clock.takes(60.0), clock.takes(0.0), GateConfig(latency_s=9.0))) == 3


@pytest.mark.usefixtures("clock")
def test_turns_see_the_same_moments() -> None:
    order: list[str] = []
    in_turns(lambda: order.append("new"), lambda: order.append("old"), GateConfig(latency_turns=4))
    assert "".join(name[0] for name in order[4:]) == "noonnoon"


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
