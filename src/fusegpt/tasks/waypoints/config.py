"""`WaypointsConfig`: the settings of imitating recorded waypoints, and what they ask of model and data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.driving import driving
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.tasks.metric import Metric

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.waypoints.task import WaypointsTask


class WaypointsConfig(Config):
    """Imitation of recorded waypoints by L1, as in TransFuser (Chitta et al., PAMI 2022).

    The weights of the auxiliary losses have effect where `model.auxiliary` names them.
    """

    kind: Literal["waypoints"] = Field(default="waypoints", description="Which task this is.")
    bev_semantics_weight: float = Field(default=1.0, ge=0, description="Weight of the bird's-eye-view classes' loss.")
    semantics_weight: float = Field(default=1.0, ge=0, description="Weight of the image classes' loss.")
    depth_weight: float = Field(default=10.0, ge=0, description="Weight of the depth's L1, as a share of max_depth_m.")

    @property
    def headline(self) -> Metric:
        """What decides."""
        return Metric("val/ade_m", "min", baseline="constant_velocity")

    def check(self, model: Config, data: Config) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""
        if not isinstance(model, FusionConfig):
            raise ValueError("model.kind must be fusion for task.kind waypoints")
        data = driving(data)
        if model.image_channels != 3:
            raise ValueError(f"model.image_channels must be 3 for the camera's RGB, not {model.image_channels}")
        if model.lidar_channels != data.lidar.channels:
            raise ValueError(
                f"model.lidar_channels ({model.lidar_channels}) must be {data.lidar.channels}, as data.lidar makes them"
            )
        horizons = data.horizons_s
        if model.waypoints != len(horizons):
            raise ValueError(
                f"model.waypoints ({model.waypoints}) must be {len(horizons)}, one for each data.horizons_s"
            )
        made = [model.waypoint_interval_s * (i + 1) for i in range(model.waypoints)]
        if not all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(made, horizons, strict=True)):
            raise ValueError(
                f"data.horizons_s {list(horizons)} must be whole multiples of model.waypoint_interval_s "
                f"({model.waypoint_interval_s}), in order: {made}"
            )

    def build(self, experiment: Experiment) -> WaypointsTask:
        """The task, over the model and the data of this experiment."""
        from fusegpt.tasks.waypoints.task import WaypointsTask

        return WaypointsTask(experiment)
