"""`Metric`: a figure that models are judged by. A task's config says which, so that it is known without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A number to judge by: its name as logged ("val/ade_m"), and which way is better.

    `baseline` is what a model that learnt nothing is called, where the task judges one beside: "constant_velocity",
    whose figure is then "constant_velocity_ade_m". It knows the samples alone, not the model.
    """

    name: str
    mode: Literal["min", "max"]
    baseline: str = ""

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a < b if self.mode == "min" else a > b
