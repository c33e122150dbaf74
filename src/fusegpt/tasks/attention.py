"""`Attention`: where the tokens of both branches look, of a task that `Attends`.

Shapes: nh heads, (V, H) the image's tokens, (v, h) the LiDAR's, T = V*H + v*h, the image's first, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fusegpt.tasks.task import Batch

Cell = tuple[float, float, float, float]


@dataclass(frozen=True)
class Attention:
    """One sample's weights (nh, T, T), a row per looking token; its LiDAR tokens have far ahead in row 0, left first.

    x_m, y_m: both ends of the ground that the LiDAR's tokens share, metres ahead and to the left.
    """

    weights: NDArray[np.floating[Any]]
    image_grid: tuple[int, int]
    lidar_grid: tuple[int, int]
    x_m: tuple[float, float]
    y_m: tuple[float, float]

    @property
    def n_image(self) -> int:
        """V*H: where the LiDAR's tokens begin."""
        return self.image_grid[0] * self.image_grid[1]

    def token_at(self, x_m: float, y_m: float) -> int:
        """The LiDAR token over a point of the ground; the nearest one where the point is beside the grid."""
        row, column = self._place(self.x_m, x_m, 0), self._place(self.y_m, y_m, 1)
        return self.n_image + row * self.lidar_grid[1] + column

    def cell(self, token: int) -> Cell:
        """The ground of a LiDAR token: x_min, x_max, y_min, y_max."""
        (x_min, x_max), (y_min, y_max), (v, h) = self.x_m, self.y_m, self.lidar_grid
        row, column = divmod(token - self.n_image, h)
        deep, wide = (x_max - x_min) / v, (y_max - y_min) / h
        return x_max - (row + 1) * deep, x_max - row * deep, y_max - (column + 1) * wide, y_max - column * wide

    def to_image(self, token: int) -> NDArray[np.floating[Any]]:
        """(nh, V, H): how much a token looks at each part of the image."""
        return self.weights[:, token, : self.n_image].reshape(-1, *self.image_grid)

    def _place(self, ends: tuple[float, float], at: float, axis: int) -> int:
        share = (ends[1] - at) / (ends[1] - ends[0])
        return int(np.clip(share * self.lidar_grid[axis], 0, self.lidar_grid[axis] - 1))


@runtime_checkable
class Attends(Protocol):
    """A task whose models can say where their tokens look."""

    def attention(self, model: nn.Module, batch: Batch) -> Attention | None:
        """The last GPT's last block over the batch's first sample; None where the model has no GPT."""
        ...
