"""`attention`: where a fusion model's tokens look, with the LiDAR's brought into the frame that people see."""

from __future__ import annotations

import numpy as np

from fusegpt.data.lidar import BevGrid
from fusegpt.models.fusion.model import FusionModel
from fusegpt.tasks.attention import Attention
from fusegpt.tasks.task import Batch

INPUTS = ("image", "lidar", "speed_mps", "target_point")


def attention(model: FusionModel, batch: Batch, grid: BevGrid) -> Attention | None:
    """The last block of the last stage's GPT, of the batch's first sample; None for late fusion, which has no GPT."""
    from fusegpt.figures.scene import ahead_up

    stages = model.attention_maps(*(batch[name][:1] for name in INPUTS))
    if not stages:
        return None
    weights = stages[-1][0, -1].float().cpu().numpy()  # (B, n_layer, nh, T, T) -> (nh, T, T)
    image_grid, lidar_grid = model.config.image_anchors, model.config.lidar_anchors
    n_image = image_grid[0] * image_grid[1]
    places = np.arange(n_image, n_image + lidar_grid[0] * lidar_grid[1], dtype=float).reshape(1, *lidar_grid)
    seen = ahead_up(places, grid)[0]  # (v, h), or (h, v) where the grid's rows run from side to side
    order = np.concatenate([np.arange(n_image), seen.ravel().astype(int)])
    shape = seen.shape[0], seen.shape[1]
    return Attention(weights[:, order][:, :, order], image_grid, shape, grid.range_m("x"), grid.range_m("y"))
