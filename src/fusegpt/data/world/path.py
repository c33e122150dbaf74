"""`Path`: a curve on the ground, sampled evenly along its length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_M = 0.5


@dataclass(frozen=True)
class Path:
    """Points `STEP_M` apart. xy: (N, 2) metres; heading: (N,) radians, unwrapped; curvature: (N,) 1/m, left is > 0."""

    xy: Floats
    heading: Floats
    curvature: Floats

    @property
    def length_m(self) -> float:
        """From the first point to the last."""
        return (len(self.xy) - 1) * STEP_M

    @classmethod
    def through(cls, points: Floats) -> Path:
        """The curve through points (M, 2) at any spacing, resampled."""
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        even = np.arange(0.0, along[-1], STEP_M)
        xy = np.stack([np.interp(even, along, points[:, i]) for i in (0, 1)], axis=1)
        slope = np.gradient(xy, axis=0)
        heading = np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))
        return cls(xy, heading, np.gradient(heading, STEP_M))

    def offset(self, left_m: float) -> Path:
        """The curve beside this one, `left_m` to its left."""
        normal = np.stack([-np.sin(self.heading), np.cos(self.heading)], axis=1)
        return Path.through(self.xy + left_m * normal)

    def reversed(self) -> Path:
        """The same curve, travelled the other way."""
        return Path.through(self.xy[::-1])

    def at(self, s: Floats) -> Floats:
        """x, y, heading at the lengths `s`: (K,) -> (K, 3). Beyond an end it goes on straight."""
        grid = np.arange(len(self.xy)) * STEP_M
        heading = np.interp(s, grid, self.heading)
        beyond = s - np.clip(s, 0.0, self.length_m)
        x = np.interp(s, grid, self.xy[:, 0]) + beyond * np.cos(heading)
        y = np.interp(s, grid, self.xy[:, 1]) + beyond * np.sin(heading)
        return np.stack([x, y, heading], axis=-1)

    def nearest(self, point: Floats, guess: int, reach: int = 12) -> tuple[float, int]:
        """Length along the curve of the point nearest to `point`, searched around the index `guess`, and its index."""
        first = max(guess - reach, 0)
        gap = self.xy[first : guess + reach + 1] - point
        index = first + int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        toward = point - self.xy[index]
        along = toward[0] * np.cos(self.heading[index]) + toward[1] * np.sin(self.heading[index])
        return index * STEP_M + float(along), index
