"""Driving data: readers, the sample that they yield, splits, and the packed form that training reads."""

from typing import Annotated

from pydantic import Field

from fusegpt.data.kitti import KittiData
from fusegpt.data.world.config import WorldData

DataConfig = Annotated[KittiData | WorldData, Field(discriminator="source")]

__all__ = ["DataConfig", "KittiData", "WorldData"]
