"""KITTI raw: the layout that the KITTI site hands out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusegpt.data.driving import DrivingData


class KittiData(DrivingData):
    """Geiger et al., Vision meets Robotics: The KITTI Dataset, IJRR 2013."""

    source: Literal["kitti"] = Field(default="kitti", description="Which reader reads it.")
    root: str = Field(description="The folder that holds 2011_09_26/ and the like.")
    drives: tuple[str, ...] = Field(default=(), description="Only these drives, by name or its part; all when empty.")
    poses: Literal["dead_reckoning", "gps"] = Field(
        default="dead_reckoning", description="Where waypoints come from: measured speed and heading, or GPS."
    )
