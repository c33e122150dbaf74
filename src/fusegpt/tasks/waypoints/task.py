"""`WaypointsTask`: losses, figures and answers of waypoint imitation.

Shapes: B batch, T horizons, (H, W) image, (C, h, w) bird's-eye view, K classes. Frame: x forward, y left, metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from fusegpt.data.driving import driving
from fusegpt.data.sample import DataError
from fusegpt.driving.control import ControlConfig, control
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.signature import Signature, Tensor
from fusegpt.tasks.task import Batch, Split, Splits
from fusegpt.tasks.waypoints.inputs import encode

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.attention import Attention

INPUTS = ("image", "lidar", "speed_mps", "target_point")


class WaypointsTask:
    """Imitation of recorded waypoints by L1 (Chitta et al., TransFuser, PAMI 2022)."""

    def __init__(self, experiment: Experiment) -> None:
        assert isinstance(experiment.model, FusionConfig)
        self.headline = experiment.task.headline
        self.config = experiment.task
        self.model_config = experiment.model
        self.data = driving(experiment.data)
        self.signature = signature(self.data.horizons_s)

    def build_model(self, fetch: bool = True) -> nn.Module:
        """A new fusion model, drawn from torch's present random state."""
        return self.model_config.build(fetch)

    def open_splits(self, cache: Path) -> Splits:
        """The data, packed under `cache` on first use."""
        from fusegpt.data.packed import open_splits

        return open_splits(self.data, cache)

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """Mean L1 of the waypoints in metres, and the weighted auxiliary losses; each (B,)."""
        outputs: Batch = model(*(batch[name] for name in INPUTS))
        parts = {"waypoints_l1": (outputs["waypoints"] - batch["waypoints"]).abs().mean(dim=(1, 2))}
        for name in self.model_config.auxiliary:
            parts[name] = self._auxiliary_loss(name, outputs[name].float(), batch)
        if len(parts) == 1:
            return {"loss": parts["waypoints_l1"]}
        weighted = [part * getattr(self.config, f"{name}_weight", 1.0) for name, part in parts.items()]
        return {"loss": torch.stack(weighted).sum(0), **parts}

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """Average and final displacement, L1, the error at each horizon, and straight on at the present speed."""
        predicted = model(*(batch[name] for name in INPUTS))["waypoints"].float()
        truth = batch["waypoints"]
        distance = (predicted - truth).norm(dim=-1)  # (B, T)
        baseline = (self.straight_on(batch["speed_mps"]) - truth).norm(dim=-1)  # (B, T)
        horizons = {f"error_{horizon:g}s_m": distance[:, i] for i, horizon in enumerate(self.data.horizons_s)}
        return {
            "ade_m": distance.mean(1),
            "fde_m": distance[:, -1],
            "l1_m": (predicted - truth).abs().mean(dim=(1, 2)),
            **horizons,
            "constant_velocity_ade_m": baseline.mean(1),
            "constant_velocity_fde_m": baseline[:, -1],
        }

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Requests -> one batch, made exactly as the packed data is. Raises InputError naming the field."""
        return encode(inputs, self.signature, self.data)

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """The waypoints (B, T, 2), with the speed that control needs."""
        outputs: Batch = model(*(batch[name] for name in INPUTS))
        return {"waypoints": outputs["waypoints"].float(), "speed_mps": batch["speed_mps"]}

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """Waypoints and the control that a fresh controller makes of them."""
        speeds = outputs["speed_mps"].flatten().tolist()
        return [self._answer(one.numpy(), speed) for one, speed in zip(outputs["waypoints"], speeds, strict=True)]

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """Predicted and true waypoints over image and bird's-eye view, for samples spread over the split."""
        from fusegpt.tasks.waypoints.pictures import draw

        return draw(self, model, split, folder)

    def attention(self, model: nn.Module, batch: Batch) -> Attention | None:
        """Where the tokens of both branches look; None for late fusion."""
        from fusegpt.models.fusion.model import FusionModel
        from fusegpt.tasks.waypoints.attention import attention

        assert isinstance(model, FusionModel)
        return attention(model, batch, self.data.lidar)

    def _answer(self, waypoints: NDArray[np.float32], speed_mps: float) -> dict[str, NDArray[np.generic]]:
        model = self.model_config
        config = ControlConfig(waypoint_interval_s=model.waypoint_interval_s, lidar_x_m=model.lidar_x_m)
        now = control(waypoints, speed_mps, config)
        values = {"steer": now.steer, "throttle": now.throttle, "brake": float(now.brake)}
        return {"waypoints": waypoints, **{name: np.array([value], np.float32) for name, value in values.items()}}

    def _auxiliary_loss(self, name: str, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        label = batch.get("label_depth_m" if name == "depth" else f"label_{name}")
        if label is None:
            raise DataError(f"model.auxiliary: asks for {name}, but the data has no such labels; leave {name} out")
        if name == "depth":  # (B, H, W), a share of the greatest depth
            far = self.model_config.max_depth_m
            return (output - label.float().clamp(max=far) / far).abs().mean(dim=(1, 2))
        return F.cross_entropy(output, label.long(), reduction="none").mean(dim=(1, 2))  # (B, K, H, W) -> (B,)

    def straight_on(self, speed_mps: torch.Tensor) -> torch.Tensor:
        """(B, 1) -> (B, T, 2): where the car is if it goes on straight at this speed."""
        ahead = speed_mps * speed_mps.new_tensor(self.data.horizons_s)  # (B, T)
        return torch.stack([ahead, torch.zeros_like(ahead)], dim=-1)


def signature(horizons_s: Sequence[float]) -> Signature:
    """What a request carries and what the answer does."""
    frame = "metres, x forward, y left of the LiDAR"
    ahead = ", ".join(f"{horizon:g}" for horizon in horizons_s)
    return Signature(
        inputs=(
            Tensor(
                name="image", dtype="uint8", shape=(-1, -1, 3), media="image", max_rows=8192,
                description="The front camera's picture, RGB, (height, width, 3).",
            ),
            Tensor(
                name="sweep", dtype="float32", shape=(-1, 4), media="sweep", max_rows=1_000_000,
                description=f"The LiDAR's points: x, y, z ({frame}, z up) and reflectance.",
            ),
            Tensor(name="speed_mps", dtype="float32", shape=(1,), description="The present speed, metres per second."),
            Tensor(name="target_point", dtype="float32", shape=(2,), description=f"Where the route goes on: {frame}."),
        ),
        outputs=(
            Tensor(
                name="waypoints", dtype="float32", shape=(len(horizons_s), 2),
                description=f"Where to be {ahead} s ahead: {frame}.",
            ),
            Tensor(name="steer", dtype="float32", shape=(1,), description="-1 (left) to 1 (right)."),
            Tensor(name="throttle", dtype="float32", shape=(1,), description="0 to 1."),
            Tensor(name="brake", dtype="float32", shape=(1,), description="0 or 1."),
        ),
    )  # fmt: skip
