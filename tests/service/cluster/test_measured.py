from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from standin import experiment

from fusegpt.experiment import Experiment
from service.cluster.measured import Infeasible, costs_of, hold_to_limits


def asked(**search: Any) -> Experiment:
    return experiment(**search)


def test_a_latency_is_measured_once_however_often_a_trial_goes_on(tmp_path: Path) -> None:
    measured: list[Experiment] = []

    def measure(one: Experiment) -> float:
        measured.append(one)
        return 12.5

    limited = asked(constraints={"latency_ms": {"max": 20}})
    for _ in range(2):
        assert costs_of(limited, tmp_path / "trial", measure) == {"latency_ms": 12.5}
    assert len(measured) == 1


def test_what_nobody_asks_for_is_not_measured(tmp_path: Path) -> None:
    def never(_: Experiment) -> float:
        raise AssertionError

    assert costs_of(asked(), tmp_path / "trial", never) == {}
    assert not (tmp_path / "trial").exists()


def test_a_model_at_its_limit_may_train_and_one_above_may_not() -> None:
    limited = asked(constraints={"latency_ms": {"max": 20}, "parameters": {"max": 5e6}})
    hold_to_limits(limited, {"latency_ms": 20.0, "parameters": 5e6})
    with pytest.raises(Infeasible, match=r"^infeasible: latency_ms 31 > 20$"):
        hold_to_limits(limited, {"latency_ms": 31.0, "parameters": 1.0})
    with pytest.raises(Infeasible, match=r"^infeasible: parameters 7\.1e\+06 > 5e\+06$"):
        hold_to_limits(limited, {"latency_ms": 1.0, "parameters": 7.1e6})
