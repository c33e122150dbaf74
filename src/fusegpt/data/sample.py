"""`Sample`: one moment of driving, whatever it was recorded with, and `Reader`, what yields samples.

One frame for everything: the LiDAR's, x forward, y left, z up, metres, at the moment of the sweep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One moment of driving.

    image:        (H, W, 3) uint8, RGB, the front camera.
    sweep:        (N, 4) float32, x y z in metres and reflectance 0..1.
    speed_mps:    the ego's speed in metres per second.
    target_point: (2,) float32, x y in metres: where the route goes, some metres further on.
    waypoints:    (T, 2) float32, x y in metres: where the ego was at each horizon after this moment.
    projection:   (3, 4) float32, homogeneous point of the frame -> homogeneous pixel of `image`.
    labels:       optional maps: "bev_semantics" (h, w) uint8, "depth_m" (H, W) float32, "semantics" (H, W) uint8.
    """

    drive: str
    frame: int
    time_s: float
    image: NDArray[np.uint8]
    sweep: NDArray[np.float32]
    speed_mps: float
    target_point: NDArray[np.float32]
    waypoints: NDArray[np.float32]
    projection: NDArray[np.float32]
    labels: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Something broken in a data set: which file, and what is wrong with it."""

    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"


class DataError(ValueError):
    """A data set cannot be used as it is; the message names the file or the setting."""


class Reader(Protocol):
    """A source of driving. Reading never uses what is broken: it is in `problems`, by file."""

    @property
    def problems(self) -> list[Problem]:
        """What was found broken so far, in the order in which it was found."""
        ...

    def drives(self) -> list[str]:
        """The names of the drives, sorted."""
        ...

    def frames(self, drive: str) -> int:
        """How many samples the drive would yield if nothing were broken (an upper bound, for progress)."""
        ...

    def samples(self, drive: str) -> Iterator[Sample]:
        """The samples of one drive in the order of time. Raises DataError where `on_problem` is "refuse"."""
        ...
