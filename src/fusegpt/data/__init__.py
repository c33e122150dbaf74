"""Driving data (readers, the sample that they yield, splits, the packed form that training reads), and text."""

from typing import Annotated

from pydantic import Field

from fusegpt.data.carla import CarlaData
from fusegpt.data.dates.config import DatesData
from fusegpt.data.digits.config import DigitsData
from fusegpt.data.kitti import KittiData
from fusegpt.data.navsim import NavsimData
from fusegpt.data.nuscenes import NuscenesData
from fusegpt.data.parallel_text.config import ParallelTextData
from fusegpt.data.shapes.config import ShapesData
from fusegpt.data.text.config import TextData
from fusegpt.data.world.config import WorldData

DataConfig = Annotated[
    KittiData
    | CarlaData
    | NavsimData
    | NuscenesData
    | WorldData
    | TextData
    | DatesData
    | ParallelTextData
    | DigitsData
    | ShapesData,
    Field(discriminator="source"),
]

__all__ = [
    "CarlaData",
    "DataConfig",
    "DatesData",
    "DigitsData",
    "KittiData",
    "NavsimData",
    "NuscenesData",
    "ParallelTextData",
    "ShapesData",
    "TextData",
    "WorldData",
]
