"""`DrivingData`: the settings that every source of driving shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fusegpt.config import Config, SettingError
from fusegpt.data.lidar import BevGrid
from fusegpt.data.sample import Reader
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
    flip_probability: float = Field(
        default=0.0, ge=0, le=1, description="Share of training samples that are mirrored from left to right."
    )

    @model_validator(mode="after")
    def _reads(self) -> DrivingData:
        if list(self.horizons_s) != sorted(set(self.horizons_s)) or self.horizons_s[0] <= 0:
            raise ValueError(f"horizons_s ({self.horizons_s}) must be above 0 and grow")
        if self.flip_probability and self.lidar.y_min_m != -self.lidar.y_max_m:
            raise ValueError(
                f"flip_probability needs a grid as wide to the left as to the right: lidar.y_min_m "
                f"({self.lidar.y_min_m}) is not -lidar.y_max_m ({self.lidar.y_max_m})"
            )
        return self

    def reader(self) -> Reader:
        """What reads this source. Raises DataError where there is nothing to read."""
        raise NotImplementedError


def driving(data: Config) -> DrivingData:
    """`data`, where it is a source of driving. Raises SettingError naming `data.source` where it is not."""
    if not isinstance(data, DrivingData):
        raise SettingError(f"data.source: {getattr(data, 'source', data)} is no source of driving")
    return data
