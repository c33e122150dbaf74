"""`Rungs`: asynchronous successive halving, in one bracket (ASHA) or several (Hyperband). Knows no Ray and no clock.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in the form that stops: a trial that
comes to a rung goes on where it is among the best 1 / factor of those that came there before it.
Li et al., "Hyperband", JMLR 18, 2018: later brackets let trials run longer before the first rung.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np


class Rungs:
    """The bars that trials of `epochs` epochs have to clear. A trial is named by its number."""

    def __init__(
        self, mode: Literal["min", "max"], epochs: int, grace: int, factor: int, brackets: bool = False, seed: int = 0
    ) -> None:
        self._sign = -1.0 if mode == "min" else 1.0
        self._factor, self._seed = factor, seed
        bars = milestones(grace, epochs, factor)
        count = len(bars) + 1 if brackets else 1
        # Bracket b leaves out the first b rungs; the last has none. Each is a competition of its own.
        self._rungs = [{epoch: dict[int, float]() for epoch in bars[first:]} for first in range(count)]
        shares = [math.ceil(count / (rungs + 1) * factor**rungs) for rungs in range(count - 1, -1, -1)]
        self._shares = np.asarray(shares) / sum(shares)

    def bracket(self, number: int) -> int:
        """Which bracket a trial is in: drawn from its number alone, in the shares that Hyperband gives them."""
        if len(self._rungs) == 1:
            return 0
        return int(np.random.default_rng([self._seed, number]).choice(len(self._rungs), p=self._shares))

    def goes_on(self, number: int, epoch: int, value: float) -> bool:
        """Whether a trial that has reached `value` after `epoch` goes on. Once judged at a rung, it is not again."""
        rung = self._rungs[self.bracket(number)].get(epoch)
        if rung is None or number in rung:
            return True
        score = self._sign * value if math.isfinite(value) else -math.inf
        before = [known for known in rung.values() if math.isfinite(known)]
        rung[number] = score
        return not before or score >= float(np.percentile(before, (1 - 1 / self._factor) * 100))


def milestones(grace: int, epochs: int, factor: int) -> list[int]:
    """The epochs of the rungs: grace, grace x factor, ... The last epoch is none: it ends by itself."""
    found = []
    while grace < epochs:
        found.append(grace)
        grace *= factor
    return found
