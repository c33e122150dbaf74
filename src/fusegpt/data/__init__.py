"""Driving data: readers, the sample that they yield, splits, and the packed form that training reads."""

from typing import Annotated

from pydantic import Field

from fusegpt.data.carla import CarlaData
from fusegpt.data.kitti import KittiData
from fusegpt.data.navsim import NavsimData
from fusegpt.data.nuscenes import NuscenesData
from fusegpt.data.world.config import WorldData

DataConfig = Annotated[KittiData | CarlaData | NavsimData | NuscenesData | WorldData, Field(discriminator="source")]

__all__ = ["CarlaData", "DataConfig", "KittiData", "NavsimData", "NuscenesData", "WorldData"]
