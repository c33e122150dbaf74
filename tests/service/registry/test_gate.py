"""The gate lets through what is better beyond chance on the same samples, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusegpt.tasks.metric import Metric
from service.registry.gate import Check, GateConfig, decided, interval, judge, judge_first

ADE = Metric("val/ade_m", "min", baseline="constant_velocity")
CONFIG = GateConfig(resamples=500)
Errors = NDArray[np.float64]


@dataclass
class Figures:
    per_sample: dict[str, Errors]
    metrics: dict[str, float] = field(default_factory=dict)


def figures(errors: Errors, baseline: Errors | None = None) -> Figures:
    baseline = np.arange(len(errors), dtype=float) if baseline is None else baseline
    return Figures({"ade_m": errors, "constant_velocity_ade_m": baseline})


def decide(new: Errors, old: Errors, metric: Metric = ADE) -> Check:
    return judge(metric, figures(new), figures(old), CONFIG)


def errors(seed: int, count: int = 200) -> Errors:
    return np.random.default_rng(seed).gamma(2.0, 0.3, count)


_errors = st.lists(st.floats(0, 100), min_size=1, max_size=60).map(np.array)


@given(_errors)
def test_a_model_never_beats_itself(own: Errors) -> None:
    assert not decide(own, own.copy()).passed


@given(st.lists(st.floats(0, 100), min_size=20, max_size=60).map(np.array), st.floats(0.01, 10))
def test_a_model_that_is_better_on_every_sample_is_accepted_and_its_opposite_refused(old: Errors, by: float) -> None:
    assert decide(old - by, old).passed
    assert not decide(old, old - by).passed


@given(_errors, st.integers(1, 10))
def test_the_interval_lies_around_the_mean_within_the_extremes(values: Errors, block: int) -> None:
    found = interval(values, GateConfig(resamples=200, block=block))
    slack = 1e-9 * (1 + np.abs(values).max())
    assert values.min() - slack <= found.low <= found.high <= values.max() + slack
    assert found.mean == pytest.approx(values.mean())


def test_two_models_that_differ_by_chance_only_are_seldom_told_apart() -> None:
    accepted = sum(decide(errors(2 * seed), errors(2 * seed + 1)).passed for seed in range(200))
    assert accepted <= 12  # 2.5 % expected of the one side; 12 of 200 is three deviations above


def test_neighbouring_frames_count_as_one_observation_not_as_many() -> None:
    slow = np.repeat(np.random.default_rng(0).normal(size=25), 8)
    alone = interval(slow, GateConfig(resamples=2000, block=1))
    together = interval(slow, GateConfig(resamples=2000, block=8))
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_a_small_gain_is_refused_on_few_samples_and_accepted_on_many() -> None:
    noise = np.random.default_rng(1).normal(-0.05, 0.5, 4000)
    base = errors(2, 4000) + 2
    assert not decide(base[:40] + noise[:40], base[:40]).passed
    assert decide(base + noise, base).passed


def test_the_reason_holds_both_figures_the_interval_and_the_count() -> None:
    decision = decide(np.full(40, 0.4), np.full(40, 0.5))
    assert decision.told == (
        "beats the champion: ade_m 0.4 against 0.5, worse by -0.1 [-0.1, -0.1] at 95% on 40 samples"
    )
    assert decision.figures["worse_by/high"] == pytest.approx(-0.1)
    assert "is not shown to beat" in decide(errors(1), errors(1)).told


def test_more_is_better_where_the_metric_says_so() -> None:
    better, worse = np.full(40, 0.9), np.full(40, 0.8)
    score = Metric("val/ade_m", "max", baseline="constant_velocity")
    assert decide(better, worse, score).passed
    assert not decide(worse, better, score).passed


def test_models_that_were_made_for_other_data_are_not_compared() -> None:
    few, many = figures(errors(0, 30) - 5), figures(errors(0, 40))
    assert "other data" in judge(ADE, few, many, CONFIG).told
    other = figures(errors(0, 40) - 5, baseline=np.zeros(40))
    assert "other data" in judge(ADE, other, many, CONFIG).told


def test_a_model_that_is_not_finite_somewhere_is_refused_even_as_the_first() -> None:
    broken = errors(0)
    broken[3] = np.nan
    assert not decide(broken, errors(0) + 9).passed
    first = judge_first(ADE, figures(broken), CONFIG)
    assert not first.passed
    assert first.told == "is broken: its ade_m is not finite on 1 of 200 samples"


def test_too_few_samples_decide_nothing() -> None:
    assert "20 are needed" in decide(np.zeros(19), np.ones(19)).told


@pytest.mark.parametrize(
    ("baseline", "said"),
    [(2.0, "better than"), (0.1, "worse than"), (1.0, "not told apart from")],
)
def test_the_first_champion_says_where_it_stands_against_the_baseline(baseline: float, said: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    decision = judge_first(ADE, figures(1 + noise, np.full(200, baseline) + noise[::-1]), CONFIG)
    assert decision.passed
    assert f"{said} the constant velocity baseline's" in decision.told


def test_the_same_figures_give_the_same_decision() -> None:
    assert decide(errors(1), errors(2)) == decide(errors(1), errors(2))


def test_a_task_without_a_baseline_says_so_and_one_of_another_name_is_found() -> None:
    without = judge_first(Metric("val/accuracy", "max"), Figures({"accuracy": np.ones(30)}), CONFIG)
    assert "no baseline to compare with" in without.told
    figures = Figures({"accuracy": np.ones(30), "majority_class_accuracy": np.full(30, 0.2)})
    named = judge_first(Metric("val/accuracy", "max", baseline="majority_class"), figures, CONFIG)
    assert "better than the majority class baseline's 0.2" in named.told


def test_every_check_must_be_passed_and_what_failed_is_the_reason() -> None:
    good, slow, large = (
        Check("error", True, "is better"),
        Check("latency", False, "is slow"),
        Check("size", False, "fat"),
    )
    assert decided([good]).accepted
    refused = decided([good, slow, large])
    assert (refused.accepted, refused.reason) == (False, "is slow; fat")
    assert refused.checks == (good, slow, large)
