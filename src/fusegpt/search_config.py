"""`SearchConfig`: which settings are searched, how, for how long, and what a model may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fusegpt.config import Config, closest
from fusegpt.search_space import Choice, Integer, SearchDomain, Uniform

# What a model costs, beside what it gets wrong. Reported with a trial's figures as "model/<name>".
Cost = Literal["latency_ms", "parameters"]
SMALLEST_POPULATION = 4

# What may change while a model is being trained: it keeps its tensors, its number of steps and its data.
STEADY = ("training.lr", "training.weight_decay", "training.grad_clip", "training.min_lr_fraction")
STEADY_ENDINGS = ("pdrop", "_weight", "label_smoothing", "flip_probability")


class Budget(Config):
    """Where a search ends, whichever comes first, counted over all its resumptions; the best so far is kept."""

    hours: float = Field(default=0.0, ge=0, description="Wall-clock hours; 0 sets no limit.")
    gpu_hours: float = Field(default=0.0, ge=0, description="Hours of reserved GPUs, of all trials; 0 sets no limit.")


class Limit(Config):
    """The most that is allowed of something."""

    max: float = Field(default=0.0, ge=0, description="The largest allowed value; 0 sets no limit.")


class Constraints(Config):
    """What a model must keep to. One that does not is never the best."""

    parameters: Limit = Field(default=Limit(), description="Counted before a trial starts: what breaks it is redrawn.")
    latency_ms: Limit = Field(default=Limit(), description="Measured when a trial starts: what breaks it ends there.")

    def limits(self) -> dict[Cost, float]:
        """Those that are set."""
        limits: dict[Cost, float] = {"latency_ms": self.latency_ms.max, "parameters": self.parameters.max}
        return {name: most for name, most in limits.items() if most}


def _names(written: object) -> object:
    return [written] if isinstance(written, str) and written else (written or [])


class SearchConfig(Config):
    """Which settings are searched, and how."""

    space: dict[str, SearchDomain] = Field(default={}, description="Dotted key -> what may be tried.")
    algorithm: Literal["random", "grid", "asha", "tpe", "bohb", "pbt"] = Field(
        default="asha", description="How trials are chosen and cut."
    )
    trials: int = Field(default=16, ge=1, description="How many trials; the first is always the default settings.")
    metric: str = Field(default="", description="What decides; empty takes the task's headline metric.")
    objectives: Annotated[tuple[Cost, ...], BeforeValidator(_names)] = Field(
        default=(), description="What is to be small beside the metric: latency_ms, parameters."
    )
    constraints: Constraints = Field(default=Constraints(), description="What a model must keep to.")
    warm_start: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=(), description="Earlier searches to learn from, by name; auto takes all that fit."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the draws.")
    grace_epochs: int = Field(
        default=1, ge=1, description="Epochs before a trial can be stopped; with pbt, of each generation."
    )
    reduction_factor: int = Field(default=3, ge=2, description="At each rung, one in so many goes on (not pbt).")
    budget: Budget = Field(default=Budget(), description="Limits of the whole search.")

    def check(self, known: Mapping[str, Any]) -> None:
        """Raise ValueError, naming the key, where a setting is none of `known` or cannot take effect with them."""
        self._check_space(known)
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"search.objectives: names one twice: {', '.join(self.objectives)}")
        for name in self.warm_start:
            if "/" in name or name.startswith("."):
                raise ValueError(f"search.warm_start: {name!r} is no name of a search; write names, or auto")
        if self.budget.gpu_hours and not known["resources.gpus_per_worker"]:
            raise ValueError(
                "search.budget.gpu_hours: no trial takes a GPU (resources.gpus_per_worker is 0); limit "
                "search.budget.hours instead"
            )
        if self.algorithm == "pbt":
            self._check_population(known)
        if self.algorithm == "grid":
            self._check_grid(known)

    @property
    def stops_early(self) -> bool:
        """Whether trials are stopped at rungs where they are not among the best."""
        return self.algorithm in ("asha", "tpe", "bohb")

    @property
    def costs(self) -> tuple[Cost, ...]:
        """What has to be known of every model."""
        wanted = {*self.objectives, *self.constraints.limits()}
        names: tuple[Cost, ...] = ("latency_ms", "parameters")
        return tuple(name for name in names if name in wanted)

    def _check_space(self, known: Mapping[str, Any]) -> None:
        for key in self.space:
            if key not in known:
                raise ValueError(f"search.space.{key}: is no setting of {known['name']}{closest(key, known)}")
            if key.split(".")[0] in ("search", "resources", "name"):
                raise ValueError(f"search.space.{key}: only settings of task, model, data and training can be searched")

    def _check_grid(self, known: Mapping[str, Any]) -> None:
        for key, domain in self.space.items():
            if isinstance(domain, Uniform):
                raise ValueError(
                    f"search.space.{key}: is a range of real numbers, which has no steps; write the values of the "
                    f"grid, e.g. [{domain.low:g}, {domain.high:g}]"
                )
            if not domain.contains(known[key]):
                raise ValueError(
                    f"search.space.{key}: a grid begins with the default settings, and {key} is {known[key]!r}; add "
                    f"that to the values, or set {key} to one of them"
                )
        size = math.prod(len(domain.values) if isinstance(domain, Choice) else domain.count for domain in self._stepped)
        if self.trials != size:
            raise ValueError(f"search.trials: the grid of search.space has {size} combinations, not {self.trials}")
        if self.warm_start:
            raise ValueError("search.warm_start: a grid learns nothing from earlier searches; leave it out")

    @property
    def _stepped(self) -> list[Choice | Integer]:
        return [domain for domain in self.space.values() if not isinstance(domain, Uniform)]

    def _check_population(self, known: Mapping[str, Any]) -> None:
        for key in self.space:
            if key not in STEADY and not key.endswith(STEADY_ENDINGS):
                raise ValueError(
                    f"search.space.{key}: cannot change while a model is trained, and pbt copies weights from trial to "
                    f"trial; search {', '.join(STEADY)}, dropouts and weights of losses, or take another algorithm"
                )
        if self.space and self.trials < SMALLEST_POPULATION:
            raise ValueError(
                f"search.trials: pbt lets the worst quarter go on from the best, so it needs {SMALLEST_POPULATION} at "
                f"least, not {self.trials}"
            )
        epochs = known["training.epochs"]
        if self.space and epochs <= self.grace_epochs:
            raise ValueError(
                f"training.epochs: is {epochs}, one generation of pbt (search.grace_epochs = {self.grace_epochs}); "
                "nothing would ever be exchanged"
            )
        if self.objectives:
            raise ValueError(
                "search.objectives: under pbt no size can be searched, so all trials cost the same; leave them out"
            )
