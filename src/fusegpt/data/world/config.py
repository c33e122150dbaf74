"""`WorldData`: the settings of the synthetic world."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusegpt.data.driving import DrivingData


class WorldData(DrivingData):
    """Roads with curves and traffic, seen by a pinhole camera and a ray-cast LiDAR, driven by an expert."""

    source: Literal["world"] = Field(default="world", description="Which reader reads it.")
    seed: int = Field(default=0, ge=0, description="The same seed makes the same world, on every machine.")
    n_drives: int = Field(default=24, ge=3, description="How many drives there are.")
    seconds_per_drive: float = Field(default=30.0, gt=4, description="How long each drive lasts.")
    rate_hz: float = Field(default=4.0, gt=0, le=20, description="Samples per second of driving.")
