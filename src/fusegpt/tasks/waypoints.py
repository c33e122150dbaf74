"""Waypoints: where the car will be at each horizon, from one image, one sweep, its speed and its target point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.data.driving import DrivingData
    from fusegpt.experiment import Experiment
    from fusegpt.models.fusion.config import FusionConfig
    from fusegpt.tasks.task import Task


class WaypointsConfig(Config):
    """Imitation of recorded waypoints by L1, as in TransFuser."""

    kind: Literal["waypoints"] = Field(default="waypoints", description="Which task this is.")

    def check(self, model: FusionConfig, data: DrivingData) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""

    def build(self, experiment: Experiment) -> Task:
        """The task, over the model and the data of this experiment."""
        raise NotImplementedError
