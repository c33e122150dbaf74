"""How every picture looks: one palette, one type, and how a picture is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

INK, MUTED, FAINT, PAPER = "#20252B", "#6B7280", "#DDE1E6", "#FFFFFF"
TRUTH, PREDICTION, BASELINE, TARGET = "#0B8F7A", "#E4512B", "#8B6FC0", "#E8A317"
ABOVE, BELOW = "#2B3A4A", "#C9D3DD"
# Of a metric, dark to light, and of attention.
GRADE, HEAT = "viridis", "inferno"

DPI = 100
TITLE_PT, LABEL_PT, SMALL_PT = 13, 10.5, 9


def range_colours() -> Colormap:
    """Near to far: red to blue, without the dark ends that no camera image lets one see."""
    return ListedColormap(matplotlib.colormaps["turbo_r"](np.linspace(0.1, 0.87, 256)))


class Sheet:
    """A picture of fixed size in pixels, on which axes are placed by pixels from its top left corner."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=PAPER)
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes over a rectangle of pixels."""
        box = (
            left / self.width_px,
            1 - (top + height) / self.height_px,
            width / self.width_px,
            height / self.height_px,
        )
        axes = self.figure.add_axes(box)
        for spine in axes.spines.values():
            spine.set_color(FAINT)
        axes.tick_params(colors=MUTED, labelsize=SMALL_PT, length=3, width=0.8, color=FAINT)
        return axes

    def text(self, left: float, top: float, text: str, *, size: float = LABEL_PT, color: str = INK, **how: Any) -> None:
        """A line of text whose baseline is at `top` pixels."""
        self.figure.text(left / self.width_px, 1 - top / self.height_px, text, fontsize=size, color=color, **how)

    def legend(self, right: float, top: float, marks: Sequence[Line2D]) -> None:
        """A line of labelled marks that ends at `right` pixels."""
        self.figure.legend(
            handles=list(marks),
            loc="center right",
            bbox_to_anchor=(right / self.width_px, 1 - top / self.height_px),
            ncols=len(marks),
            frameon=False,
            fontsize=LABEL_PT,
            labelcolor=INK,
            handlelength=1.6,
            columnspacing=1.6,
            borderpad=0,
        )

    def save(self, path: Path) -> Path:
        """Write the PNG; a reader sees the old file or the new one, never half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".png")
        os.close(handle)
        try:
            self.figure.savefig(part, format="png", dpi=DPI, metadata={"Software": "fusegpt"})
            Path(part).chmod(0o644)
            Path(part).replace(path)
        finally:
            Path(part).unlink(missing_ok=True)
        return path


def labelled(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Names with units on the axes, light grid lines behind the data."""
    axes.set_xlabel(x, fontsize=LABEL_PT, color=INK)
    axes.set_ylabel(y, fontsize=LABEL_PT, color=INK)
    if title:
        axes.set_title(title, fontsize=TITLE_PT, color=INK, loc="left", pad=10)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def is_logarithmic(numbers: NDArray[np.floating[Any]]) -> bool:
    """Whether numbers are so far apart that only their logarithms can share an axis."""
    return bool(numbers.min() > 0 and numbers.max() / numbers.min() > 50)
