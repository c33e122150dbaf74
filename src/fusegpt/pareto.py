"""`front`: which of several points nothing beats in every respect (the Pareto front)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The indices, ascending, of the points that no other dominates. Smaller is better in each coordinate.

    A point dominates another where it is nowhere worse and somewhere better, so equal points are on the front
    together. One with a coordinate that is not finite is never on it.
    """
    values = np.asarray(points, np.float64)
    usable = [index for index in range(len(points)) if np.isfinite(values[index]).all()]
    return [index for index in usable if not any(_dominates(values[other], values[index]) for other in usable)]


def _dominates(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((a <= b).all() and (a < b).any())
