"""The samplers of `Draws`: at random, by TPE, and by TPE at the highest rung that knows enough (BOHB); Optuna's inside.

What a sampler proposes is a function of the seed that it is given and of what it was told, in that order.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

TPE_START = 8  # trials told before TPE follows them; until then it draws at random
# Falkner et al., "BOHB", ICML 2018: the share of random draws, and candidates a draw.
BOHB_RANDOM, BOHB_CANDIDATES = 1 / 3, 64

Mode = Literal["min", "max"]
Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Told:
    """What a trial reached: the metric by epoch, and what else is to be small.

    `broken` says by how much it breaks what a model must keep to; one that breaks it need not have values.
    """

    params: Mapping[str, Any]
    values: Mapping[int, float]
    costs: tuple[float, ...] = ()
    stopped: bool = False
    broken: float = 0.0

    def best(self, mode: Mode) -> float:
        return (min if mode == "min" else max)(self.values.values())


class Sampler(Protocol):
    """Proposes settings."""

    def ask(self, seed: int) -> dict[str, Any]: ...

    def tell(self, told: Told) -> None: ...


class AtRandom:
    """Learns nothing."""

    def __init__(self, space: Space) -> None:
        self._study = _Study(space, "min")

    def ask(self, seed: int) -> dict[str, Any]:
        return self._study.ask(RandomSampler(seed=seed))

    def tell(self, told: Told) -> None:
        """Nothing to learn."""


class ByTpe:
    """A tree-structured Parzen estimator over all settings together; with costs, over several directions."""

    def __init__(self, space: Space, mode: Mode, costs: int = 0) -> None:
        self._study = _Study(space, mode, costs)
        self._mode, self._several = mode, costs > 0

    def ask(self, seed: int) -> dict[str, Any]:
        return self._study.ask(_tpe(seed, n_startup_trials=TPE_START))

    def tell(self, told: Told) -> None:
        if not told.values:
            self._study.tell(told, TrialState.PRUNED)
            return
        # Optuna knows no stopped trials of several directions: there one counts by the best that it reached.
        pruned = told.stopped and not self._several
        values = [told.best(self._mode), *told.costs]
        self._study.tell(told, TrialState.PRUNED if pruned else TrialState.COMPLETE, values)


class ByBohb:
    """TPE over what is known at the highest rung with enough trials; one draw in three is random."""

    def __init__(self, space: Space, mode: Mode, epochs: Collection[int], costs: int = 0) -> None:
        self._random, self._mode = AtRandom(space), mode
        self._studies = {epoch: _Study(space, mode, costs) for epoch in sorted(epochs, reverse=True)}
        self._enough = len(space) + 3

    def ask(self, seed: int) -> dict[str, Any]:
        known = next((study for study in self._studies.values() if study.told >= self._enough), None)
        if known is None or np.random.default_rng(seed).random() < BOHB_RANDOM:
            return self._random.ask(seed)
        good = _tpe(seed, n_startup_trials=0, n_ei_candidates=BOHB_CANDIDATES)
        return known.ask(good)

    def tell(self, told: Told) -> None:
        for epoch, study in self._studies.items():
            if epoch in told.values:
                study.tell(told, TrialState.COMPLETE, [told.values[epoch], *told.costs])
            elif not told.values:
                study.tell(told, TrialState.PRUNED)


class _Study:
    """An Optuna study in memory."""

    def __init__(self, space: Space, mode: Mode, costs: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = dict(space)
        self._study = optuna.create_study(directions=[f"{mode}imize", *["minimize"] * costs])
        self.told = 0

    def ask(self, sampler: BaseSampler) -> dict[str, Any]:
        self._study.sampler = sampler
        asked = self._study.ask(self._space)
        self._study.tell(asked, state=TrialState.FAIL)  # only a question: what was used is told by `tell`
        return dict(asked.params)

    def tell(self, told: Told, state: TrialState, values: list[float] | None = None) -> None:
        self.told += values is not None
        between = dict(told.values) if state == TrialState.PRUNED else {}
        # Optuna reads a pruned trial from its last report, so that is where a stopped one gets its value.
        self._study.add_trial(
            create_trial(
                state=state,
                values=values,
                params=dict(told.params),
                distributions=self._space,
                intermediate_values=between,
                constraints={"limits": told.broken} if told.broken > 0 else None,
            )
        )


def _tpe(seed: int, **how: Any) -> TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, **how)
