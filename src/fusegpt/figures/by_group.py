"""One figure of each group as a bar: the share of dates that are read right, by language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fusegpt.figures.style import INK, PREDICTION, SMALL_PT, TITLE_PT, Sheet, labelled

WIDTH_PX, BAR_PX, EDGE_PX = 640, 26, 70


def by_group(figures: Mapping[str, float], title: str, unit: str, path: Path) -> Path:
    """Draw shares from 0 to 1, each with its value; written to `path`."""
    height = BAR_PX * len(figures)
    sheet = Sheet(WIDTH_PX, height + 2 * EDGE_PX)
    sheet.text(20, 34, title, size=TITLE_PT)
    axes = sheet.axes(110, EDGE_PX, WIDTH_PX - 190, height)
    names = list(figures)
    axes.barh(names, list(figures.values()), color=PREDICTION, height=0.62)
    for place, value in enumerate(figures.values()):
        axes.text(value + 0.01, place, f"{value:.1%}", va="center", fontsize=SMALL_PT, color=INK, clip_on=False)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    labelled(axes, unit, "")
    return sheet.save(path)
