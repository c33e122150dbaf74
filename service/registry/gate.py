"""The gate: does a challenger beat the champion on the same held-out samples, beyond chance, and fit in its place?

Paired differences of the per-sample errors, and an interval of their mean by a circular block bootstrap (Politis and
Romano 1992): neighbouring frames of a drive are near-duplicates, so whole blocks of them are drawn, not single frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.tasks.metric import Metric

Errors = NDArray[np.float64]


class GateConfig(Config):
    """How sure the gate wants to be, and how much more a better model may take."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence of the interval.")
    resamples: int = Field(default=4000, ge=200, description="Draws of the bootstrap.")
    block: int = Field(default=8, ge=1, description="Neighbouring samples that are drawn together.")
    min_samples: int = Field(default=20, ge=2, description="Fewer samples of the test split decide nothing.")
    seed: int = Field(default=0, ge=0, description="Seed of the draws: the same figures, the same decision.")
    latency_ratio: float = Field(
        default=1.5, ge=0, description="The forward may take so many times the champion's; 0 sets no limit."
    )
    size_ratio: float = Field(
        default=4.0, ge=0, description="The weights may take so many times the champion's bytes; 0 sets no limit."
    )
    latency_turns: int = Field(default=21, ge=3, description="Forwards of each version, in turns, that are timed.")
    latency_s: float = Field(default=10.0, gt=0, description="Seconds after which no further turn begins.")


class Evaluation(Protocol):
    """Figures of one model on the test split, as fusegpt.training.evaluate gives them ("ade_m")."""

    @property
    def metrics(self) -> Mapping[str, float]: ...

    @property
    def per_sample(self) -> Mapping[str, Errors]: ...


@dataclass(frozen=True)
class Check:
    """One question of the gate: whether it was passed, in words, and the figures behind it."""

    name: str
    passed: bool
    told: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """Whether a version may become champion, why in one sentence, and the figures and checks behind it."""

    accepted: bool
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)
    challenger: int = 0
    champion: int | None = None
    forced: bool = False
    checks: tuple[Check, ...] = ()


def decided(checks: Sequence[Check]) -> Decision:
    """All must be passed. The reason is what failed, or else what every check found."""
    failed = [check.told for check in checks if not check.passed]
    figures = {name: value for check in checks for name, value in check.figures.items()}
    told = failed or [check.told for check in checks]
    return Decision(not failed, "; ".join(told), figures, checks=tuple(checks))


@dataclass(frozen=True)
class Interval:
    """The mean of paired differences and where it lies with the wanted confidence."""

    mean: float
    low: float
    high: float


def interval(differences: Errors, config: GateConfig) -> Interval:
    """The interval of the mean of (N,) differences that follow each other in time."""
    count = len(differences)
    block = min(config.block, count)
    around = np.concatenate([differences, differences[: block - 1]])  # (N + block - 1,): the end joins the start
    sums = np.convolve(around, np.ones(block), "valid")  # (N,): the sum of the block that starts at each sample
    rng = np.random.default_rng(config.seed)
    starts = rng.integers(0, count, (config.resamples, math.ceil(count / block)))
    means = sums[starts].mean(1) / block  # (resamples,)
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def judge_first(metric: Metric, challenger: Evaluation, config: GateConfig) -> Check:
    """The first version of a name: passed where its figures are finite, with where it stands against the baseline."""
    name = bare(metric)
    errors = challenger.per_sample[name]
    if not np.isfinite(errors).all():
        return Check("error", False, _broken(name, errors))
    figures = {f"challenger/{name}": float(errors.mean()), "samples": float(len(errors))}
    standing = "no baseline to compare with"
    baseline = challenger.per_sample.get(f"{metric.baseline}_{name}") if metric.baseline else None
    if baseline is not None:
        against = interval(_worse_by(metric, errors, baseline), config)
        figures |= {"baseline": float(baseline.mean()), "against_baseline": against.mean}
        figures |= {"against_baseline/low": against.low, "against_baseline/high": against.high}
        who = metric.baseline.replace("_", " ")
        standing = f"{_against_baseline(against)} the {who} baseline's {baseline.mean():.4g}"
    told = f"is the first champion: {name} {errors.mean():.4g}, {standing} ({len(errors)} samples)"
    return Check("error", True, told, figures)


def judge(metric: Metric, challenger: Evaluation, champion: Evaluation, config: GateConfig) -> Check:
    """Passed where the whole interval of the paired differences lies on the better side of 0."""
    name = bare(metric)
    new, old = challenger.per_sample[name], champion.per_sample[name]
    obstacle = _obstacle(metric, challenger, champion, config)
    if obstacle:
        return Check("error", False, obstacle)
    worse_by = interval(_worse_by(metric, new, old), config)
    figures = {
        f"challenger/{name}": float(new.mean()),
        f"champion/{name}": float(old.mean()),
        "worse_by": worse_by.mean,
        "worse_by/low": worse_by.low,
        "worse_by/high": worse_by.high,
        "confidence": config.confidence,
        "samples": float(len(new)),
    }
    accepted = worse_by.high < 0
    verdict = "beats the champion" if accepted else "is not shown to beat the champion"
    return Check("error", accepted, f"{verdict}: {_told(name, new, old, worse_by, config)}", figures)


def bare(metric: Metric) -> str:
    """The name without the split: "val/ade_m" -> "ade_m"."""
    return metric.name.rpartition("/")[2]


def _told(name: str, new: Errors, old: Errors, worse_by: Interval, config: GateConfig) -> str:
    return (
        f"{name} {new.mean():.4g} against {old.mean():.4g}, worse by {worse_by.mean:+.4g} "
        f"[{worse_by.low:+.4g}, {worse_by.high:+.4g}] at {config.confidence:.0%} on {len(new)} samples"
    )


def _against_baseline(worse_by: Interval) -> str:
    if worse_by.high < 0:
        return "better than"
    return "worse than" if worse_by.low > 0 else "not told apart from"


def _worse_by(metric: Metric, new: Errors, old: Errors) -> Errors:
    return new - old if metric.mode == "min" else old - new


def _obstacle(metric: Metric, challenger: Evaluation, champion: Evaluation, config: GateConfig) -> str:
    """Why the two cannot be compared; empty where they can."""
    name = bare(metric)
    new, old = challenger.per_sample[name], champion.per_sample[name]
    if not np.isfinite(new).all():
        return _broken(name, new)
    if not _same_samples(metric.baseline, challenger, champion):
        return f"cannot be compared: the champion was made for other data ({len(old)} test samples, here {len(new)})"
    if not np.isfinite(old).all():
        return f"cannot be compared: the champion's {name} is not finite"
    if len(new) < config.min_samples:
        return f"cannot be judged: the test split has {len(new)} samples, {config.min_samples} are needed"
    return ""


def _broken(name: str, errors: Errors) -> str:
    return f"is broken: its {name} is not finite on {int((~np.isfinite(errors)).sum())} of {len(errors)} samples"


def _same_samples(baseline: str, one: Evaluation, other: Evaluation) -> bool:
    """The baseline knows only the samples, not the model: where it agrees on each, the samples are the same."""
    if {len(figure) for figure in one.per_sample.values()} != {len(figure) for figure in other.per_sample.values()}:
        return False
    return not baseline or all(
        key in other.per_sample and np.allclose(figure, other.per_sample[key], rtol=1e-4, atol=1e-4)
        for key, figure in one.per_sample.items()
        if key.startswith(f"{baseline}_")
    )
