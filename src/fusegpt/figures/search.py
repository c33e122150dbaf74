"""`draw_search`: what a search tried and found: curves, the best so far, and every setting against the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fusegpt.figures.style import (
    BASELINE,
    FAINT,
    GRADE,
    INK,
    LABEL_PT,
    MUTED,
    PREDICTION,
    SMALL_PT,
    TITLE_PT,
    Sheet,
    is_logarithmic,
)
from fusegpt.figures.style import labelled as label_axes

WIDTH_PX, MARGIN_PX = 1500, 90


@dataclass(frozen=True)
class TrialCurve:
    """One trial: its settings by dotted key, and the metric after each epoch; both empty for one that never began.

    `costs` is what its model takes, where it was measured: latency_ms, parameters.
    """

    number: int
    settings: Mapping[str, bool | int | float | str]
    epochs: Sequence[int] = ()
    values: Sequence[float] = ()
    state: Literal["running", "finished", "stopped", "cancelled", "failed"] = "finished"
    costs: Mapping[str, float] = field(default_factory=dict)

    def best(self, mode: str) -> float | None:
        """The best value that it reached; None where it reported no finite one."""
        finite = [value for value in self.values if np.isfinite(value)]
        return None if not finite else (min if mode == "min" else max)(finite)


def draw_search(
    trials: Sequence[TrialCurve],
    path: Path,
    *,
    metric: str,
    mode: Literal["min", "max"] = "min",
    baseline: float | None = None,
    baseline_name: str = "baseline",
    title: str = "",
) -> Path:
    """A PNG of the whole search. Trials without a finite value are counted in the title and drawn nowhere."""
    judged = [(trial, best) for trial in trials if (best := trial.best(mode)) is not None]
    if not judged:
        raise ValueError(f"trials: none of {len(trials)} has a value of {metric}; there is nothing to draw")
    scores = np.array([best for _, best in judged])
    grade = _Grade(scores, mode)
    keys = varied([trial for trial, _ in judged])
    sheet = Sheet(WIDTH_PX, 560 + (420 if keys else 0))
    sheet.text(MARGIN_PX, 40, title or _caption(trials, judged, metric, mode), size=TITLE_PT, weight="bold")
    curves = sheet.axes(MARGIN_PX, 100, 760, 380)
    _draw_curves(curves, judged, grade, metric)
    if baseline is not None:
        _draw_baseline(curves, baseline, baseline_name)
    _draw_progress(sheet.axes(MARGIN_PX + 860, 100, 490, 380), judged, grade, metric, mode)
    if keys:
        _draw_parallel(sheet.axes(MARGIN_PX, 610, 1260, 290), judged, grade, keys, metric)
    return sheet.save(path)


class _Grade:
    """The colour of a value: the better, the darker."""

    def __init__(self, scores: NDArray[np.float64], mode: str) -> None:
        # One trial far off must not take all the colours from the others.
        low, high = np.percentile(scores, [0, 85] if mode == "min" else [15, 100])
        self.norm = Normalize(low, high if high > low else low + 1e-9, clip=True)
        self.map = matplotlib.colormaps[GRADE if mode == "min" else f"{GRADE}_r"]
        self.best = float(scores.min() if mode == "min" else scores.max())
        self.mode = mode

    def __call__(self, score: float) -> Any:
        return self.map(0.08 + 0.9 * float(self.norm(score)))


def _caption(trials: Sequence[TrialCurve], judged: list[tuple[TrialCurve, float]], metric: str, mode: str) -> str:
    pick = min if mode == "min" else max
    winner, best = pick(judged, key=lambda pair: pair[1])
    stopped = sum(trial.state == "stopped" for trial in trials)
    failed = sum(trial.state == "failed" for trial in trials)
    parts = [f"{len(trials)} trials", f"{stopped} stopped early"] + ([f"{failed} failed"] if failed else [])
    return f"{', '.join(parts)}   ·   best {metric} {best:.3f} (trial {winner.number})"


def _draw_curves(axes: Axes, judged: list[tuple[TrialCurve, float]], grade: _Grade, metric: str) -> None:
    for trial, best in sorted(judged, key=lambda pair: pair[1], reverse=grade.mode == "min"):
        is_best = best == grade.best
        colour = PREDICTION if is_best else grade(best)
        axes.plot(
            trial.epochs, trial.values, color=colour, linewidth=2.6 if is_best else 1.3, zorder=4 if is_best else 3
        )
        marker = {"stopped": "X", "cancelled": "X", "failed": "x"}.get(trial.state, "o")
        axes.scatter(trial.epochs[-1], trial.values[-1], color=colour, marker=marker, s=30, zorder=5, linewidths=1)
    label_axes(axes, "epoch", metric, "Learning curves (● finished, ✖ stopped early)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_baseline(axes: Axes, value: float, name: str) -> None:
    axes.axhline(value, color=BASELINE, linestyle="--", linewidth=1.6)
    axes.annotate(
        name, (0.995, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=SMALL_PT,
        color=BASELINE, xytext=(0, 3), textcoords="offset points",
    )  # fmt: skip


def _draw_progress(axes: Axes, judged: list[tuple[TrialCurve, float]], grade: _Grade, metric: str, mode: str) -> None:
    numbers = np.array([trial.number for trial, _ in judged])
    scores = np.array([best for _, best in judged])
    order = np.argsort(numbers)
    running = (np.minimum if mode == "min" else np.maximum).accumulate(scores[order])
    axes.step(numbers[order], running, where="post", color=PREDICTION, linewidth=2.2, zorder=3)
    axes.scatter(numbers, scores, color=[grade(score) for score in scores], s=42, zorder=4, edgecolors="white")
    label_axes(axes, "trial", metric, "Best of each trial, and best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def varied(trials: Sequence[TrialCurve]) -> list[str]:
    """The settings that differ between trials, in the order of their first mention."""
    keys = dict.fromkeys(key for trial in trials for key in trial.settings)
    return [key for key in keys if len({str(trial.settings.get(key)) for trial in trials}) > 1]


def _heights(values: list[Any]) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """Where each value lies on its axis, 0..1, and the ticks of that axis."""
    distinct = list(dict.fromkeys(values))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in distinct)
    if not numeric or len(distinct) <= 4:
        distinct.sort(key=(lambda value: float(value)) if numeric else str)
        places = np.linspace(0.0, 1.0, len(distinct)) if len(distinct) > 1 else np.array([0.5])
        at = dict(zip(distinct, places, strict=True))
        return np.array([at[value] for value in values]), [(float(at[v]), _short(v)) for v in distinct]
    numbers = np.array(values, float)
    logarithmic = is_logarithmic(numbers)
    scale = np.log(numbers) if logarithmic else numbers
    low, high = scale.min(), scale.max()
    ticks = np.linspace(low, high, 4)
    shown = np.exp(ticks) if logarithmic else ticks
    return (scale - low) / (high - low), [
        (float((t - low) / (high - low)), _short(v)) for t, v in zip(ticks, shown, strict=True)
    ]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw_parallel(
    axes: Axes, judged: list[tuple[TrialCurve, float]], grade: _Grade, keys: list[str], metric: str
) -> None:
    columns = [_heights([trial.settings.get(key, "-") for trial, _ in judged]) for key in keys]
    columns.append(_heights([best for _, best in judged]))
    lines = np.stack([heights for heights, _ in columns], axis=1)
    across = np.arange(len(columns))
    smooth = np.linspace(0, len(columns) - 1, 40 * len(columns))
    for line, (_, best) in sorted(
        zip(lines, judged, strict=True), key=lambda pair: pair[1][1], reverse=grade.mode == "min"
    ):
        is_best = best == grade.best
        axes.plot(
            smooth, _ease(smooth, line), color=PREDICTION if is_best else grade(best),
            linewidth=2.8 if is_best else 1.4, alpha=1.0 if is_best else 0.75, zorder=4 if is_best else 3,
        )  # fmt: skip
    for x, (_, ticks) in zip(across, columns, strict=True):
        axes.axvline(float(x), color=MUTED, linewidth=1.0, zorder=2)
        for y, text in ticks:
            axes.annotate(
                text, (float(x), y), xytext=(-6, 0), textcoords="offset points", ha="right", va="center",
                fontsize=SMALL_PT, color=INK, zorder=6,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": FAINT},
            )  # fmt: skip
    axes.set(xlim=(-0.35, len(columns) - 0.8), ylim=(-0.08, 1.08), yticks=[])
    axes.set_xticks(across, [*keys, metric], fontsize=LABEL_PT, color=INK)
    axes.set_title("Settings of every trial, the best in red", fontsize=TITLE_PT, color=INK, loc="left", pad=12)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, pad=8)


def _ease(at: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights between the axes, arriving level at each, so that lines through one point can be told apart."""
    left = np.minimum(at.astype(int), len(heights) - 2)
    share = at - left
    share = share * share * (3 - 2 * share)
    return np.asarray(heights[left] * (1 - share) + heights[left + 1] * share)
