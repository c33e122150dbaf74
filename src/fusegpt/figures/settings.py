"""`draw_settings`: one panel for each searched setting: the metric at its values, mean and 95 % band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fusegpt.figures.effects import Effect
from fusegpt.figures.style import (
    BASELINE,
    FAINT,
    MUTED,
    PREDICTION,
    SMALL_PT,
    TITLE_PT,
    Sheet,
    is_logarithmic,
    labelled,
)

PER_ROW, PANEL_W_PX, PANEL_H_PX = 4, 300, 220
LEFT_PX, TOP_PX, GAP_X_PX, GAP_Y_PX, FOOT_PX = 76, 112, 44, 92, 84


def draw_settings(
    effects: Sequence[Effect],
    path: Path,
    *,
    metric: str,
    baseline: float | None = None,
    title: str = "",
    note: str = "",
) -> Path:
    """A PNG. The panels share one scale of the metric; a trial beyond it is a mark at the edge."""
    if not effects:
        raise ValueError("effects: there must be at least one setting that differs between trials")
    columns, rows = min(PER_ROW, len(effects)), -(-len(effects) // PER_ROW)
    width = max(LEFT_PX + columns * (PANEL_W_PX + GAP_X_PX), 920)
    sheet = Sheet(width, TOP_PX + rows * PANEL_H_PX + (rows - 1) * GAP_Y_PX + FOOT_PX)
    count = len(effects[0].scores)
    sheet.text(LEFT_PX, 36, title or f"{metric} at each setting, {count} trials", size=TITLE_PT, weight="bold")
    said = "line or square: mean   ·   shaded: 95 % band of the mean   ·   dot: a trial, all other settings varying"
    sheet.text(LEFT_PX, 60, said, size=SMALL_PT, color=MUTED)
    sheet.text(LEFT_PX, 78, note, size=SMALL_PT, color=MUTED)
    low, high = _window(effects)
    for index, effect in enumerate(effects):
        row, column = divmod(index, PER_ROW)
        left, top = LEFT_PX + column * (PANEL_W_PX + GAP_X_PX), TOP_PX + row * (PANEL_H_PX + GAP_Y_PX)
        axes = sheet.axes(left, top, PANEL_W_PX, PANEL_H_PX)
        _draw_panel(axes, effect, low, high)
        if baseline is not None and low < baseline < high:
            axes.axhline(baseline, color=BASELINE, linestyle="--", linewidth=1.2, zorder=2)
        labelled(axes, effect.key, metric if column == 0 else "")
        axes.set_ylim(low, high)
    return sheet.save(path)


def _window(effects: Sequence[Effect]) -> tuple[float, float]:
    """The scale of the metric: the bulk, all means and their bands; one trial far off must not flatten the rest."""
    scores = effects[0].scores
    first, third = np.percentile(scores, [25, 75])
    fence = 3 * max(third - first, 1e-9)
    bounds = first - fence, third + fence
    inside = scores[(scores >= bounds[0]) & (scores <= bounds[1])]
    bands = np.concatenate([each for effect in effects for each in (effect.low, effect.high)]).clip(*bounds)
    shown = np.concatenate([inside, bands, *(effect.mean for effect in effects)])
    margin = 0.05 * max(float(np.ptp(shown)), 1e-9)
    return float(shown.min()) - margin, float(shown.max()) + margin


def _draw_panel(axes: Axes, effect: Effect, low: float, high: float) -> None:
    if effect.is_curve:
        places, at = np.array(effect.values, float), np.array(effect.tried, float)
        axes.fill_between(places, effect.low, effect.high, color=PREDICTION, alpha=0.18, linewidth=0, zorder=2)
        axes.plot(places, effect.mean, color=PREDICTION, linewidth=2, zorder=4)
        if is_logarithmic(at):
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
    else:
        at = _place_groups(axes, effect)
    shown = np.clip(effect.scores, low, high)
    beyond = shown != effect.scores
    axes.scatter(at[~beyond], shown[~beyond], s=16, color=MUTED, alpha=0.7, linewidths=0, zorder=3)
    for edge, marker in ((high, "^"), (low, "v")):
        there = beyond & (shown == edge)
        axes.scatter(at[there], shown[there], s=34, color=MUTED, marker=marker, clip_on=False, zorder=5)


def _place_groups(axes: Axes, effect: Effect) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means and bands side by side; where each trial's dot goes."""
    for place, (mean, low, high) in enumerate(zip(effect.mean, effect.low, effect.high, strict=True)):
        axes.fill_between([place - 0.3, place + 0.3], low, high, color=PREDICTION, alpha=0.18, linewidth=0, zorder=2)
        axes.plot([place - 0.3, place + 0.3], [mean, mean], color=PREDICTION, linewidth=1.2, zorder=4)
        axes.plot(place, mean, "s", color=PREDICTION, markersize=5, zorder=4)
    words = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in effect.values]
    axes.set_xticks(range(len(words)), words, rotation=20 if sum(map(len, words)) > 24 else 0)
    axes.set_xlim(-0.6, len(words) - 0.4)
    axes.axhline(float(effect.scores.mean()), color=FAINT, linewidth=1, zorder=1)
    places = {value: place for place, value in enumerate(effect.values)}
    return np.array([places[value] for value in effect.tried], float)
