"""What a search may try for one setting: plain data, no tuner.

Written in a spec as people write them:

    [1, 2, 4, 8]                          Choice
    {low: 64, high: 512, step: 64}        Integer, both ends included
    {low: 0.0, high: 0.3}                 Uniform
    {low: 1.0e-4, high: 1.0e-2, log: true}  LogUniform
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from fusegpt.config import Config

Setting = bool | int | float | str


class Choice(Config):
    """One of several values, without order."""

    values: tuple[Setting, ...] = Field(min_length=1, description="The values to choose from.")

    def contains(self, value: object) -> bool:
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values)

    def spec(self) -> list[Setting]:
        return list(self.values)


class Integer(Config):
    """Whole numbers from `low` to `high`, both included, `step` apart."""

    low: int = Field(description="The smallest value.")
    high: int = Field(description="The largest value, included.")
    step: int = Field(default=1, ge=1, description="The distance between neighbouring values.")

    @model_validator(mode="after")
    def _ordered(self) -> Integer:
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) must not be below low ({self.low})")
        if (self.high - self.low) % self.step:
            raise ValueError(f"high - low ({self.high - self.low}) must be a multiple of step ({self.step})")
        return self

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def contains(self, value: object) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def spec(self) -> dict[str, int]:
        return {"low": self.low, "high": self.high, "step": self.step}


class Uniform(Config):
    """Real numbers between `low` and `high`."""

    low: float = Field(description="The lower end.")
    high: float = Field(description="The upper end.")

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.high <= self.low:
            raise ValueError(f"high ({self.high}) must be above low ({self.low})")
        return self

    def contains(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def spec(self) -> dict[str, float | bool]:
        return {"low": self.low, "high": self.high}


class LogUniform(Uniform):
    """Real numbers between `low` and `high`, even in the logarithm."""

    @model_validator(mode="after")
    def _positive(self) -> LogUniform:
        if self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 for a logarithmic range")
        return self

    def spec(self) -> dict[str, float | bool]:
        return {"low": self.low, "high": self.high, "log": True}


Domain = Choice | Integer | Uniform | LogUniform


def parse(written: object) -> Domain:
    """Read a domain as a person writes it in a spec. Raises ValueError that says what would be right."""
    if isinstance(written, Choice | Integer | Uniform | LogUniform):
        return written
    if isinstance(written, list | tuple):
        return Choice(values=tuple(written))
    if isinstance(written, Mapping) and {"low", "high"} <= set(written):
        rest = dict(written)
        log = rest.pop("log", False)
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in rest.values())
        if log:
            return LogUniform(**rest)
        return Integer(**rest) if whole else Uniform(**rest)
    raise ValueError(
        f"{written!r} is no search domain: write a list of values, or low and high (with step for whole numbers, "
        "or log: true)"
    )


def grid(space: Mapping[str, Domain]) -> Iterator[dict[str, Setting]]:
    """Every combination of the values of a space without ranges of real numbers, the last key's changing fastest."""
    values = [_values(domain) for domain in space.values()]
    for combination in itertools.product(*values):
        yield dict(zip(space, combination, strict=True))


def _values(domain: Domain) -> Sequence[Setting]:
    if isinstance(domain, Uniform):
        raise ValueError("a range of real numbers has no steps")
    return domain.values if isinstance(domain, Choice) else range(domain.low, domain.high + 1, domain.step)


SearchDomain = Annotated[Domain, BeforeValidator(parse), PlainSerializer(lambda domain: domain.spec())]


def nearest_multiple(value: int, of: int, low: int, high: int) -> int:
    """The multiple of `of` nearest to `value` within [low, high]; ties go up. Raises ValueError where there is none."""
    first, last = math.ceil(low / of) * of, math.floor(high / of) * of
    if first > last:
        raise ValueError(f"no multiple of {of} lies between {low} and {high}")
    return min(max(math.floor(value / of + 0.5) * of, first), last)


def divisible(settings: Mapping[str, Any], rules: Mapping[str, str], space: Mapping[str, Domain]) -> dict[str, Any]:
    """Settings in which each key of `rules` is a multiple of the setting that it names.

    A search draws `model.n_embd` and `model.n_head` independently; instead of wasting the trials whose pair does not
    divide, the value is moved to the nearest multiple inside its range.
    """
    repaired = dict(settings)
    for key, divisor_key in rules.items():
        value, divisor = repaired.get(key), repaired.get(divisor_key)
        if not isinstance(value, int) or not isinstance(divisor, int) or value % divisor == 0:
            continue
        domain = space.get(key)
        if isinstance(domain, Integer):
            repaired[key] = nearest_multiple(value, divisor, domain.low, domain.high)
        elif isinstance(domain, Choice):
            fitting = [v for v in domain.values if isinstance(v, int) and v % divisor == 0]
            if not fitting:
                raise ValueError(f"{key}: none of {list(domain.values)} is a multiple of {divisor_key} = {divisor}")
            repaired[key] = min(fitting, key=lambda v: abs(v - value))
        else:
            repaired[key] = nearest_multiple(value, divisor, divisor, max(value, divisor) + divisor)
    return repaired
