"""`WorldData`: the settings of the synthetic world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.data.driving import DrivingData

if TYPE_CHECKING:
    from fusegpt.data.world.reader import WorldReader


class WorldData(DrivingData):
    """Roads with curves and traffic, seen by a pinhole camera and a ray-cast LiDAR, driven by an expert."""

    source: Literal["world"] = Field(default="world", description="Which reader reads it.")
    seed: int = Field(default=0, ge=0, description="The same seed makes the same world.")
    n_drives: int = Field(default=24, ge=3, description="How many drives there are.")
    seconds_per_drive: float = Field(default=30.0, gt=4, le=120, description="How long each drive lasts.")
    rate_hz: float = Field(default=4.0, gt=0, le=20, description="Samples per second of driving.")
    camera_fov_deg: float = Field(default=81.4, gt=20, lt=150, description="Horizontal field of view; KITTI's is 81.4.")
    lidar_rings: int = Field(default=32, ge=4, le=128, description="Rings of the LiDAR, from 2 above to 24.8 below.")
    lidar_azimuths: int = Field(default=600, ge=60, le=4000, description="Shots per turn of the LiDAR.")
    lidar_range_m: float = Field(default=80.0, gt=5, le=250, description="How far the LiDAR reaches.")
    traffic: float = Field(default=1.0, ge=0, le=3, description="How much traffic; 0 leaves the roads empty.")
    labels: bool = Field(default=False, description="Also yield depth, semantics and the map seen from above.")

    def reader(self) -> WorldReader:
        """The reader of this world."""
        from fusegpt.data.world.reader import WorldReader

        return WorldReader(self)
