"""KITTI raw: the layout that the KITTI site hands out, its synced and rectified drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.data.driving import DrivingData

if TYPE_CHECKING:
    from fusegpt.data.kitti_reader import KittiReader


class KittiData(DrivingData):
    """Geiger et al., Vision meets Robotics: The KITTI Dataset, IJRR 2013."""

    source: Literal["kitti"] = Field(default="kitti", description="Which reader reads it.")
    root: str = Field(description="The folder that holds 2011_09_26/ and the like.")
    drives: tuple[str, ...] = Field(default=(), description="Only these drives, by name or its part; all when empty.")
    poses: Literal["dead_reckoning", "gps"] = Field(
        default="dead_reckoning", description="Where waypoints come from: measured speed and heading, or GPS."
    )
    max_gap_s: float = Field(default=0.35, gt=0, description="A longer hole in the ego motion is never read across.")

    def reader(self) -> KittiReader:
        """Raises DataError where `root` holds no drive."""
        from fusegpt.data.kitti_reader import KittiReader

        return KittiReader(self)
