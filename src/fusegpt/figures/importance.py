"""`draw_importance`: how much of what differs between trials each setting explains alone, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusegpt.figures.style import FAINT, INK, LABEL_PT, MUTED, PREDICTION, SMALL_PT, TITLE_PT, Sheet

LEFT_PX, TOP_PX, BAR_PX, WIDTH_PX, RIGHT_PX, FOOT_PX = 190, 120, 40, 640, 110, 62


@dataclass(frozen=True)
class Share:
    """One setting's share of the variance, 0..1, its 90 % band, and what settings without any effect may reach."""

    key: str
    share: float
    low: float
    high: float
    chance: float

    @property
    def counts(self) -> bool:
        """Whether it explains more than a setting without effect might."""
        return self.share > self.chance


def draw_importance(shares: Sequence[Share], path: Path, *, metric: str, trials: int, note: str = "") -> Path:
    """A PNG: one bar a setting, the largest above; pale where chance explains it."""
    if not shares:
        raise ValueError("shares: there must be at least one setting")
    order = sorted(shares, key=lambda share: -share.share)
    height = BAR_PX * len(order)
    sheet = Sheet(LEFT_PX + WIDTH_PX + RIGHT_PX, TOP_PX + height + FOOT_PX)
    title = f"What explains {metric}: each setting alone, {trials} trials"
    sheet.text(24, 36, title, size=TITLE_PT, weight="bold")
    sheet.text(24, 60, "bar: share of the variance (fANOVA)   ·   line: 90 % band over resampled trials", size=SMALL_PT,
               color=MUTED)  # fmt: skip
    sheet.text(24, 80, "dashes: what a setting without any effect may reach; pale bars do not pass it", size=SMALL_PT,
               color=MUTED)  # fmt: skip
    sheet.text(24, 100, note, size=SMALL_PT, color=MUTED)
    axes = sheet.axes(LEFT_PX, TOP_PX, WIDTH_PX, height)
    for place, one in enumerate(order):
        axes.barh(place, one.share, height=0.62, color=PREDICTION if one.counts else FAINT, zorder=2)
        axes.plot([one.low, one.high], [place, place], color=MUTED, linewidth=1.6, zorder=3, solid_capstyle="butt")
        axes.annotate(f"{one.share:.0%}", (1, place), xycoords=("axes fraction", "data"), xytext=(14, 0),
                      textcoords="offset points", va="center", fontsize=LABEL_PT,
                      color=INK if one.counts else MUTED)  # fmt: skip
    axes.axvline(max(one.chance for one in order), color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=4)
    axes.set_yticks(range(len(order)), [one.key for one in order], fontsize=LABEL_PT, color=INK)
    axes.set(ylim=(len(order) - 0.5, -0.5), xlim=(0, 1.02 * max(max(one.high, one.chance, one.share) for one in order)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return sheet.save(path)
