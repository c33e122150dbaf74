"""`Draws`: which settings each trial of a search tries.

Trial 0 is the default settings. The others are proposed by a sampler, moved to where they fit, and counted before they
cost anything. A draw is a function of (search.seed, number) and, where the sampler learns, of the trials told before
it: a search that is taken up again draws what it would have drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from fusegpt.config import SettingError
from fusegpt.costs import parameters
from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer, LogUniform, grid
from service.cluster.rungs import milestones
from service.cluster.samplers import AtRandom, ByBohb, ByTpe, Mode, Sampler, Told

ATTEMPTS = 100  # draws for one trial before it is said that the space holds hardly any settings that fit each other


class Draws:
    """The draws of one search.

    `count` gives the number of parameters of a trial's model; `redrawn` is called for each draw that had too many.
    """

    def __init__(
        self,
        experiment: Experiment,
        mode: Mode,
        count: Callable[[Experiment], int] = parameters,
        redrawn: Callable[[], None] = lambda: None,
    ) -> None:
        self._experiment, self._count, self._redrawn = experiment, count, redrawn
        self._defaults = experiment.settings()
        self._limits = experiment.search.constraints.limits()
        self._sampler = _sampler(experiment, mode)
        self._counted: dict[str, int] = {}
        self._grid = self._combinations() if experiment.search.algorithm == "grid" else []

    def draw(self, number: int, taken: Collection[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The settings of trial `number` by dotted key: those of the space, and whatever was moved to fit them.

        They are what the trial uses, after `Experiment.trial` has moved them to where they divide; and none of `taken`,
        as long as there are others. Raises SettingError where hardly any drawn settings fit each other or the limit
        of parameters.
        """
        if number == 0:
            return self.defaults()
        if self._grid:
            return self._grid[number - 1]
        used: dict[str, Any] = {}
        unfit: ValueError | None = None
        for attempt in range(ATTEMPTS):
            try:
                drawn = self._used(self._draw(number, attempt))
                self._refuse_large(drawn)
            except ValueError as error:
                unfit = error
            else:
                used = drawn
                if used not in taken:
                    break
        if not used and unfit is not None:
            raise unfit
        return used

    def defaults(self) -> dict[str, Any]:
        """The default settings of what is searched."""
        return {key: self._defaults[key] for key in self._experiment.search.space}

    def excess(self, drawn: Mapping[str, Any]) -> str:
        """Why these settings may not start: "infeasible: parameters 7,100,000 > 5,000,000"; empty where they may."""
        most = self._limits.get("parameters")
        if most is None or (counted := self.parameters(drawn)) <= most:
            return ""
        return f"infeasible: parameters {counted:,} > {most:,.0f}"

    def parameters(self, drawn: Mapping[str, Any]) -> int:
        """How many parameters the model of these settings has."""
        shape = {key: value for key, value in drawn.items() if not key.startswith("training.")}
        key = json.dumps(shape, sort_keys=True)
        if key not in self._counted:
            self._counted[key] = self._count(self._experiment.override(drawn))
        return self._counted[key]

    def tell(
        self,
        drawn: Mapping[str, Any],
        values: Mapping[int, float],
        stopped: bool,
        costs: Mapping[str, float] | None = None,
    ) -> None:
        """What a trial reached, the metric by epoch, and its model's costs. One that broke a limit has no values."""
        search, costs = self._experiment.search, costs or {}
        params = {key: drawn.get(key) for key in search.space}
        if not all(search.space[key].contains(value) for key, value in params.items()):
            return  # the default settings may lie outside the space
        excess = max((costs[name] / most - 1 for name, most in self._limits.items() if name in costs), default=0.0)
        wanted = tuple(costs[name] for name in search.objectives if name in costs)
        if values and len(wanted) == len(search.objectives):
            self._sampler.tell(Told(params, values, wanted, stopped, excess))
        elif excess > 0:
            self._sampler.tell(Told(params, {}, broken=excess))

    def _combinations(self) -> list[dict[str, Any]]:
        """Those of the grid but the defaults. Raises SettingError for one that cannot be as it is written."""
        space = self._experiment.search.space
        found = []
        for asked in grid(space):
            used = self._used(asked)
            if moved := next((key for key in space if used[key] != asked[key]), ""):
                raise SettingError(
                    f"search.space.{moved}: {asked[moved]!r} does not go with the rest of {asked}; with grid every "
                    "combination is tried as it is, so write values that all go together"
                )
            if any(asked[key] != self._defaults[key] for key in space):
                found.append(used)
        return found

    def _draw(self, number: int, attempt: int) -> dict[str, Any]:
        seed = np.random.SeedSequence([self._experiment.search.seed, number, attempt])
        return self._sampler.ask(int(seed.generate_state(1)[0]))

    def _used(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        space = self._experiment.search.space
        settings = self._experiment.trial(drawn).settings()
        return {key: value for key, value in settings.items() if key in space or value != self._defaults[key]}

    def _refuse_large(self, drawn: Mapping[str, Any]) -> None:
        if not self.excess(drawn):
            return
        self._redrawn()
        raise SettingError(
            f"search.constraints.parameters.max: hardly any settings of search.space have as few as "
            f"{self._limits['parameters']:,.0f} parameters; the smallest model that was drawn has "
            f"{min(self._counted.values()):,}. Raise it, or search smaller models."
        )


def _sampler(experiment: Experiment, mode: Mode) -> Sampler:
    search = experiment.search
    space = {key: distribution(domain) for key, domain in search.space.items()}
    if search.algorithm == "tpe":
        return ByTpe(space, mode, len(search.objectives))
    if search.algorithm == "bohb":
        epochs = experiment.training.epochs
        rungs = milestones(search.grace_epochs, epochs, search.reduction_factor)
        return ByBohb(space, mode, [*rungs, epochs], len(search.objectives))
    return AtRandom(space)


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain: the same values, both ends included."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high, step=domain.step)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
