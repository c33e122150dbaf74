"""Small pictures in rows of eight, each under its caption."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.style import FAINT, SMALL_PT, TITLE_PT, Sheet

COLUMNS, SIDE_PX, GAP_PX, TEXT_PX, EDGE_PX, TOP_PX = 8, 128, 16, 40, 24, 56
LETTERS = 22

Frame = dict[str, Any]  # color and linewidth, as matplotlib takes them


def draw_captioned(
    images: NDArray[np.uint8], captions: Sequence[str], title: str, path: Path, frames: Sequence[Frame] = ()
) -> Path:
    """(N, H, W) or (N, H, W, 3) uint8 and their N captions -> a PNG, written to `path`; frames are thin if left out."""
    rows = -(-len(images) // COLUMNS)
    sheet = Sheet(
        2 * EDGE_PX + COLUMNS * (SIDE_PX + GAP_PX) - GAP_PX, TOP_PX + rows * (SIDE_PX + TEXT_PX + GAP_PX) + EDGE_PX
    )
    sheet.text(EDGE_PX, 34, title, size=TITLE_PT)
    frames = frames or [{"color": FAINT, "linewidth": 1.0}] * len(images)
    for number, (image, caption, frame) in enumerate(zip(images, captions, frames, strict=True)):
        left = EDGE_PX + number % COLUMNS * (SIDE_PX + GAP_PX)
        top = TOP_PX + number // COLUMNS * (SIDE_PX + TEXT_PX + GAP_PX)
        axes = sheet.axes(left, top + TEXT_PX, SIDE_PX, SIDE_PX)
        axes.imshow(image, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(**frame)
        for line, text in enumerate(textwrap.wrap(caption, LETTERS)[:3]):
            sheet.text(left, top + 8 + 13 * line, text, size=SMALL_PT - 1.5)
    return sheet.save(path)
