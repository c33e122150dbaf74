"""`Surface`: what a pixel, a cell or a thing is, and the classes of the labels."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Surface(IntEnum):
    """Classes of `bev_semantics` (up to VEHICLE: 4) and of the image's `semantics` (up to POLE: 7).

    What a label has no class for, the sidewalk in both, is background in it.
    """

    BACKGROUND = 0
    ROAD = 1
    MARKING = 2
    VEHICLE = 3
    BUILDING = 4
    VEGETATION = 5
    POLE = 6
    SIDEWALK = 7


def known(codes: NDArray[np.uint8], last: Surface) -> NDArray[np.uint8]:
    """The codes with every class above `last` made background."""
    return np.where(codes > last, np.uint8(Surface.BACKGROUND), codes)
