"""`Draws`: which settings each trial of a search tries.

Trial 0 is the default settings. The others are drawn by Optuna, at random or by TPE from what earlier trials reached.
A draw is a function of (search.seed, number) and, for TPE, of the trials told before it: a search that is taken up
again draws what it would have drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer, LogUniform

ATTEMPTS = 100  # draws for one trial before it is said that the space holds hardly any settings that fit each other
TPE_START = 8  # trials told before TPE follows them; until then it draws at random


class Draws:
    """The draws of one search."""

    def __init__(self, experiment: Experiment, mode: Literal["min", "max"]) -> None:
        self._experiment = experiment
        self._defaults = experiment.settings()
        self._space = {key: distribution(domain) for key, domain in experiment.search.space.items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="minimize" if mode == "min" else "maximize")

    def draw(self, number: int, taken: Collection[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The settings of trial `number` by dotted key: those of the space, and whatever was moved to fit them.

        They are what the trial uses, after `Experiment.trial` has moved them to where they divide; and none of `taken`,
        as long as there are others. Raises the last SettingError where hardly any drawn settings fit each other.
        """
        if number == 0:
            return {key: self._defaults[key] for key in self._space}
        used: dict[str, Any] = {}
        unfit: ValueError | None = None
        for attempt in range(ATTEMPTS):
            try:
                used = self._used(self._draw(number, attempt))
            except ValueError as error:
                unfit = error
            else:
                if used not in taken:
                    break
        if not used and unfit is not None:
            raise unfit
        return used

    def tell(self, drawn: Mapping[str, Any], values: Mapping[int, float], stopped: bool) -> None:
        """What a trial reached: the metric by epoch. One that was stopped early is judged by its last epoch."""
        params = {key: drawn[key] for key in self._space}
        if not values or not all(self._experiment.search.space[key].contains(value) for key, value in params.items()):
            return  # the default settings may lie outside the space
        best = (min if self._study.direction.name == "MINIMIZE" else max)(values.values())
        self._study.add_trial(
            create_trial(
                state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
                value=best,
                params=params,
                distributions=self._space,
                intermediate_values=dict(values),
            )
        )

    def _draw(self, number: int, attempt: int) -> dict[str, Any]:
        self._study.sampler = self._sampler(np.random.SeedSequence([self._experiment.search.seed, number, attempt]))
        asked = self._study.ask(self._space)
        self._study.tell(asked, state=TrialState.FAIL)  # only a question: what was used is told by `tell`
        return dict(asked.params)

    def _sampler(self, seed: np.random.SeedSequence) -> BaseSampler:
        word = int(seed.generate_state(1)[0])
        if self._experiment.search.algorithm != "tpe":
            return RandomSampler(seed=word)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=word, n_startup_trials=TPE_START, multivariate=True)

    def _used(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        settings = self._experiment.trial(drawn).settings()
        return {key: value for key, value in settings.items() if key in self._space or value != self._defaults[key]}


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain: the same values, both ends included."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high, step=domain.step)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
