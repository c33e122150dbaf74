"""Pictures of what a model would drive, against what was driven and against going straight on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fusegpt.data.packed import PackedSplit
from fusegpt.tasks.task import Batch, Split
from fusegpt.training.batches import to_device
from fusegpt.training.evaluate import evaluating

if TYPE_CHECKING:
    from fusegpt.figures.waypoints import Drawn
    from fusegpt.tasks.waypoints.task import WaypointsTask

SAMPLES = 4


def draw(task: WaypointsTask, model: nn.Module, split: Split, folder: Path) -> list[Path]:
    """waypoints.png: samples spread evenly over the split; attention.png: where one of them looks.

    Nothing where the split is empty; no attention where the model has none.
    """
    from fusegpt.figures.waypoints import draw_waypoints

    if not len(split):
        return []
    indices = np.unique(np.linspace(0, len(split) - 1, SAMPLES + 2)[1:-1].round().astype(np.int64))
    batch = split.batch(indices)
    with evaluating(model):
        outputs = task.predict(model, to_device(batch, next(model.parameters()).device))
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        _drawn(task, split, int(index), _row(batch, i), outputs["waypoints"][i]) for i, index in enumerate(indices)
    ]
    title = "Predicted against driven, on samples held out"
    pictures = [draw_waypoints(drawn, folder / "waypoints.png", title=title)]
    middle = len(indices) // 2
    return pictures + _attention(
        task, model, {name: values[middle : middle + 1] for name, values in batch.items()}, folder
    )


def _attention(task: WaypointsTask, model: nn.Module, batch: Batch, folder: Path) -> list[Path]:
    """What the ground that the model would reach last looks at in the image."""
    from fusegpt.figures.attention import draw_attention

    on_device = to_device(batch, next(model.parameters()).device)
    with evaluating(model):
        found = task.attention(model, on_device)
        last = task.predict(model, on_device)["waypoints"][0, -1].tolist()
    if found is None:
        return []
    token, sample = found.token_at(*last), _row(batch, 0)
    image, lidar = sample["image"].permute(1, 2, 0).numpy(), sample["lidar"].numpy()  # (3, H, W) -> (H, W, 3)
    title = "What the ground of the last waypoint looks at in the image (last GPT, last block)"
    picture = folder / "attention.png"
    return [
        draw_attention(image, lidar, task.data.lidar, found.cell(token), found.to_image(token), picture, title=title)
    ]


def _row(batch: Batch, i: int) -> Batch:
    return {name: values[i] for name, values in batch.items()}


def _drawn(task: WaypointsTask, split: Split, index: int, sample: Batch, predicted: torch.Tensor) -> Drawn:
    from fusegpt.figures.waypoints import Drawn

    moment = split.sample_of(index) if isinstance(split, PackedSplit) else None
    return Drawn(
        image=sample["image"].permute(1, 2, 0).numpy(),  # (3, H, W) -> (H, W, 3)
        lidar=sample["lidar"].numpy(),
        grid=task.data.lidar,
        prediction=predicted.cpu().numpy(),
        truth=sample["waypoints"].numpy(),
        baseline=task.straight_on(sample["speed_mps"][None])[0].numpy(),
        target_point=sample["target_point"].numpy(),
        projection=moment.projection if moment else None,
        title=f"{moment.drive}, {moment.time_s:.1f} s, {float(sample['speed_mps']):.1f} m/s" if moment else "",
    )
