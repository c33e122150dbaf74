"""`effects`: what each searched setting does to the metric: its mean at every value, with a 95 % band.

The others vary meanwhile, so a band is as wide as they make it. Read it off settings that were drawn at random, and
off trials that were trained alike: a tuner's choices, and early stopping, bend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.search import TrialCurve, varied
from fusegpt.figures.style import is_logarithmic

Floats = NDArray[np.float64]
Value = bool | int | float | str

FEWEST = 6  # trials with a value below which no mean says anything
GROUPS = 8  # a number with more distinct values than this is shown as a curve
POINTS = 25  # of such a curve
ROUNDS = 400  # resamples behind a band
REACH = 0.15  # of a setting's range: how far the mean of a curve looks to each side


@dataclass(frozen=True)
class Effect:
    """One setting: where it was looked at, and the metric there. `trials` counts those that speak for a place."""

    key: str
    values: tuple[Value, ...]
    mean: Floats
    low: Floats
    high: Floats
    trials: NDArray[np.int64]
    tried: tuple[Value, ...]
    scores: Floats

    @property
    def is_curve(self) -> bool:
        """Whether it is a range, not a list of values."""
        return len(set(self.tried)) > GROUPS


def effects(trials: Sequence[TrialCurve], mode: str, seed: int = 0) -> list[Effect]:
    """The effect of every setting that differs between the trials, in the order of the search.

    Raises ValueError where fewer than FEWEST trials have a value.
    """
    judged = [(trial, best) for trial in trials if (best := trial.best(mode)) is not None]
    if len(judged) < FEWEST:
        raise ValueError(f"{len(judged)} trials have a value; what a setting does needs {FEWEST} at least")
    scores = np.array([best for _, best in judged])
    rng = np.random.default_rng(seed)
    found = []
    for key in varied([trial for trial, _ in judged]):
        has = np.array([key in trial.settings for trial, _ in judged])
        tried = [trial.settings[key] for trial, _ in judged if key in trial.settings]
        if has.sum() >= FEWEST and len(set(tried)) > 1:
            found.append(_effect(key, tried, scores[has], rng))
    return found


def _effect(key: str, tried: list[Value], scores: Floats, rng: np.random.Generator) -> Effect:
    if _is_number(tried) and len(set(tried)) > GROUPS:
        return _curve(key, tried, scores, rng)
    values = sorted(set(tried), key=(lambda value: float(value)) if _is_number(tried) else str)
    where = np.array([values.index(value) for value in tried])
    count = np.bincount(where)
    mean = np.bincount(where, scores) / count
    # Two trials of a value tell its mean and hardly its spread, so the spread is that within all values together.
    spread = (scores - mean[where]) * np.sqrt(len(scores) / max(len(scores) - len(values), 1))
    off = [rng.choice(spread, (ROUNDS, n)).mean(1) for n in count]
    low, high = np.array([np.quantile(each, [0.025, 0.975]) for each in off]).T
    return Effect(key, tuple(values), mean, mean + low, mean + high, count, tuple(tried), scores)


def _curve(key: str, tried: list[Value], scores: Floats, rng: np.random.Generator) -> Effect:
    """The mean of the trials near each point, near ones counting most; the band by resampling trials."""
    at = np.array(tried, float)
    logarithmic = is_logarithmic(at)
    scale: Any = np.log if logarithmic else np.asarray
    places = np.linspace(scale(at.min()), scale(at.max()), POINTS)
    nearness = np.exp(-0.5 * ((places[:, None] - scale(at)) / (REACH * np.ptp(places))) ** 2)  # (points, trials)
    weights = rng.multinomial(len(at), np.full(len(at), 1 / len(at)), ROUNDS)  # (rounds, trials)
    total = np.maximum(weights @ nearness.T, 1e-9)
    low, high = np.quantile((weights * scores) @ nearness.T / total, [0.025, 0.975], axis=0)
    values = np.exp(places) if logarithmic else places
    mean = nearness @ scores / nearness.sum(1)
    speak = (nearness > np.exp(-2)).sum(1)
    return Effect(key, tuple(values.tolist()), mean, low, high, speak, tuple(tried), scores)


def _is_number(values: Sequence[Value]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
