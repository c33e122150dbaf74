"""Pictures that a model drew, each under its caption, and whether the judge finds in it what the caption says."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.style import PREDICTION, SMALL_PT, TITLE_PT, TRUTH, Sheet

COLUMNS, SIDE_PX, GAP_PX, TEXT_PX, EDGE_PX, TOP_PX = 8, 128, 16, 40, 24, 56
LETTERS = 22


def draw_grid(images: NDArray[np.uint8], captions: Sequence[str], right: NDArray[np.bool_], path: Path) -> Path:
    """(N, H, W, 3) uint8, their N captions, and which are right -> a PNG, written to `path`."""
    rows = -(-len(images) // COLUMNS)
    sheet = Sheet(
        2 * EDGE_PX + COLUMNS * (SIDE_PX + GAP_PX) - GAP_PX, TOP_PX + rows * (SIDE_PX + TEXT_PX + GAP_PX) + EDGE_PX
    )
    sheet.text(EDGE_PX, 34, f"{int(right.sum())} of {len(images)} show what their caption says", size=TITLE_PT)
    for number, (image, caption, good) in enumerate(zip(images, captions, right, strict=True)):
        left = EDGE_PX + number % COLUMNS * (SIDE_PX + GAP_PX)
        top = TOP_PX + number // COLUMNS * (SIDE_PX + TEXT_PX + GAP_PX)
        axes = sheet.axes(left, top + TEXT_PX, SIDE_PX, SIDE_PX)
        axes.imshow(image, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=TRUTH if good else PREDICTION, linewidth=1.0 if good else 2.5)
        for line, text in enumerate(textwrap.wrap(caption, LETTERS)[:3]):
            sheet.text(left, top + 8 + 13 * line, text, size=SMALL_PT - 1.5)
    return sheet.save(path)
