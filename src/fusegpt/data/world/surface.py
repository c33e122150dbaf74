"""`Surface`: what a pixel, a cell or a thing is. The first four are the classes of the map seen from above."""

from __future__ import annotations

from enum import IntEnum


class Surface(IntEnum):
    """Classes of `bev_semantics` (up to VEHICLE) and of the image's `semantics` (all)."""

    BACKGROUND = 0
    ROAD = 1
    MARKING = 2
    VEHICLE = 3
    BUILDING = 4
    VEGETATION = 5
    POLE = 6
    SIDEWALK = 7
