"""`DrivingData`: the settings that every source of driving shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.lidar import BevGrid
from fusegpt.data.splits import Splits


class DrivingData(Config):
    """How a source of driving becomes samples of one size."""

    image_height_px: int = Field(default=96, ge=32, le=2048, description="Height of the image that the model sees.")
    image_width_px: int = Field(default=320, ge=32, le=4096, description="Width of the image that the model sees.")
    lidar: BevGrid = Field(default=BevGrid(), description="The grid of the bird's-eye-view histogram.")
    horizons_s: tuple[float, ...] = Field(
        default=(0.5, 1.0, 1.5, 2.0), min_length=1, description="How far ahead each waypoint lies, in seconds."
    )
    target_distance_m: float = Field(
        default=20.0, gt=0, description="How far along the ego's own path the target point lies."
    )
    stride: int = Field(default=1, ge=1, description="Use every n-th frame.")
    splits: Splits = Field(default=Splits(), description="Which drives or blocks of time are held out.")
    on_problem: Literal["skip", "refuse"] = Field(
        default="skip", description="What to do with a broken file: leave its frame out, or refuse the data set."
    )
