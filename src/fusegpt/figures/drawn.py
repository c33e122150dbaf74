"""Pictures that a model drew, each under its caption, and whether the judge finds in it what the caption says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.grid import Frame, draw_captioned
from fusegpt.figures.style import PREDICTION, TRUTH

RIGHT: Frame = {"color": TRUTH, "linewidth": 1.0}
WRONG: Frame = {"color": PREDICTION, "linewidth": 2.5}


def draw_grid(images: NDArray[np.uint8], captions: Sequence[str], right: NDArray[np.bool_], path: Path) -> Path:
    """(N, H, W, 3) uint8, their N captions, and which are right -> a PNG, written to `path`."""
    title = f"{int(right.sum())} of {len(images)} show what their caption says"
    return draw_captioned(images, captions, title, path, [RIGHT if good else WRONG for good in right])
