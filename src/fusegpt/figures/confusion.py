"""Which classes a classifier takes for which, as counts in a square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.style import INK, PAPER, SMALL_PT, TITLE_PT, Sheet, labelled

CELL_PX, LEFT_PX, TOP_PX, EDGE_PX = 44, 80, 60, 70


def confusion(counts: NDArray[np.int64], path: Path) -> Path:
    """(K, K) counts, true class by told class -> a picture, written to `path`."""
    side = CELL_PX * len(counts)
    sheet = Sheet(LEFT_PX + side + EDGE_PX, TOP_PX + side + EDGE_PX)
    right = int(np.trace(counts))
    sheet.text(20, 34, f"{right} of {int(counts.sum())} right", size=TITLE_PT)
    axes = sheet.axes(LEFT_PX, TOP_PX, side, side)
    labelled(axes, "told", "true")
    axes.grid(False)
    axes.imshow(counts, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    for row, column in np.argwhere(counts):
        dark = counts[row, column] > counts.max() / 2
        axes.text(
            column, row, str(counts[row, column]),
            ha="center", va="center", fontsize=SMALL_PT, color=PAPER if dark else INK,
        )  # fmt: skip
    return sheet.save(path)
