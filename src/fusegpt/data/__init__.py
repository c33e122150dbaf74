"""Driving data (readers, the sample that they yield, splits, the packed form that training reads), and text."""

from typing import Annotated

from pydantic import Field

from fusegpt.data.carla import CarlaData
from fusegpt.data.kitti import KittiData
from fusegpt.data.navsim import NavsimData
from fusegpt.data.nuscenes import NuscenesData
from fusegpt.data.text.config import TextData
from fusegpt.data.world.config import WorldData

DataConfig = Annotated[
    KittiData | CarlaData | NavsimData | NuscenesData | WorldData | TextData, Field(discriminator="source")
]

__all__ = ["CarlaData", "DataConfig", "KittiData", "NavsimData", "NuscenesData", "TextData", "WorldData"]
