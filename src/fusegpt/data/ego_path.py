"""`EgoPath`: where a recording car was, and the labels of a sample that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
ENOUGH_TIME_S = 1e-6  # timestamps in whole microseconds do not divide into seconds exactly


@dataclass(frozen=True)
class EgoPath:
    """The poses of one drive.

    times_s:   (N,) ascending.
    poses:     (N, 4, 4), the sample's frame (x forward, y left, z up) -> any fixed right-handed frame, metres.
    max_gap_s: two neighbouring poses further apart in time than this are a hole, and nothing is read across it.
    """

    times_s: Float
    poses: Float
    max_gap_s: float

    def local(self, index: int, points: Float) -> Float:
        """(M, 3) points of the fixed frame -> (M, 3) in the sample's frame at pose `index`."""
        pose = self.poses[index]
        seen: Float = (points - pose[:3, 3]) @ pose[:3, :3]
        return seen

    def waypoints(self, index: int, horizons_s: tuple[float, ...]) -> NDArray[np.float32] | None:
        """(T, 2) x y of the ego at each horizon after pose `index`; None where the drive ends or has a hole before."""
        times = self.times_s[index] + np.asarray(horizons_s)
        end = int(np.searchsorted(self.times_s, times.max() - ENOUGH_TIME_S))
        window = slice(index, end + 1)
        if end >= len(self.times_s) or np.diff(self.times_s[window]).max(initial=0.0) > self.max_gap_s:
            return None
        seen = self.local(index, self.poses[window, :3, 3])
        columns = [np.interp(times, self.times_s[window], seen[:, axis]) for axis in (0, 1)]
        return np.stack(columns, axis=1).astype(np.float32)

    def target_point(self, index: int, distance_m: float) -> NDArray[np.float32]:
        """(2,) x y of the path `distance_m` further on. Where it ends before, it goes straight on from its end."""
        seen = self.local(index, self.poses[index:, :3, 3])[:, :2]
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(seen, axis=0), axis=1))])
        beyond = max(distance_m - along[-1], 0.0)
        ahead = (self.poses[index, :3, :3].T @ self.poses[-1, :3, 0])[:2]
        reached = np.array([np.interp(distance_m, along, seen[:, axis]) for axis in (0, 1)])
        target: NDArray[np.float32] = (reached + beyond * ahead).astype(np.float32)
        return target

    def speed_mps(self, index: int, over_s: float = 0.25) -> float | None:
        """Forward speed over the last `over_s` seconds: what was known at pose `index`. None at the first pose."""
        first = int(np.searchsorted(self.times_s, self.times_s[index] - over_s))
        first = min(first, index - 1)
        if first < 0 or self.times_s[index] - self.times_s[first] > max(self.max_gap_s, over_s):
            return None
        back = self.local(index, self.poses[first : first + 1, :3, 3])[0, 0]
        return float(-back / (self.times_s[index] - self.times_s[first]))
