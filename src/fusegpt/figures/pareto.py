"""`draw_pareto`: the error against what a model costs, and the trials that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from fusegpt import pareto
from fusegpt.figures.search import TrialCurve
from fusegpt.figures.style import INK, MUTED, PREDICTION, SMALL_PT, TITLE_PT, Sheet, is_logarithmic, labelled

COSTS = {"latency_ms": "latency, ms", "parameters": "parameters"}
PANEL_PX, LEFT_PX, TOP_PX, GAP_PX, FOOT_PX = 520, 84, 96, 96, 62


def costs_of(trials: Sequence[TrialCurve]) -> list[str]:
    """Of the known costs, those that differ between at least two trials."""
    return [cost for cost in COSTS if len({trial.costs[cost] for trial in trials if cost in trial.costs}) > 1]


def front(trials: Sequence[TrialCurve], cost: str, mode: Literal["min", "max"]) -> list[TrialCurve]:
    """The trials that no other beats in both the metric and the cost, cheapest first."""
    sign = 1.0 if mode == "min" else -1.0
    judged = _judged(trials, cost, mode)
    kept = pareto.front([(sign * best, trial.costs[cost]) for trial, best in judged])
    return sorted((judged[index][0] for index in kept), key=lambda trial: trial.costs[cost])


def draw_pareto(trials: Sequence[TrialCurve], path: Path, *, metric: str, mode: Literal["min", "max"] = "min") -> Path:
    """A PNG with one panel a cost. Raises ValueError where trials have none."""
    costs = costs_of(trials)
    if not costs:
        raise ValueError(f"trials: none of {', '.join(COSTS)} differs between them; there is no front to draw")
    sheet = Sheet(max(LEFT_PX + len(costs) * (PANEL_PX + GAP_PX), 920), TOP_PX + 400 + FOOT_PX)
    sheet.text(LEFT_PX, 36, f"{metric} against what a model costs", size=TITLE_PT, weight="bold")
    sheet.text(LEFT_PX, 60, "in red: the trials that none beats in both", size=SMALL_PT, color=MUTED)
    for column, cost in enumerate(costs):
        axes = sheet.axes(LEFT_PX + column * (PANEL_PX + GAP_PX), TOP_PX, PANEL_PX, 400)
        _draw_front(axes, trials, cost, mode)
        labelled(axes, COSTS[cost], metric if column == 0 else "")
    return sheet.save(path)


def _draw_front(axes: Axes, trials: Sequence[TrialCurve], cost: str, mode: Literal["min", "max"]) -> None:
    judged = _judged(trials, cost, mode)
    at, scores = np.array([t.costs[cost] for t, _ in judged]), np.array([best for _, best in judged])
    axes.scatter(at, scores, s=34, color=MUTED, alpha=0.7, linewidths=0, zorder=3)
    best = front(trials, cost, mode)
    ends = np.array([(trial.costs[cost], reached) for trial, reached in _judged(best, cost, mode)])
    axes.step(ends[:, 0], ends[:, 1], where="post", color=PREDICTION, linewidth=1.8, zorder=4)
    axes.scatter(ends[:, 0], ends[:, 1], s=52, color=PREDICTION, edgecolors="white", zorder=5)
    for trial, (x, y) in zip(best, ends, strict=True):
        axes.annotate(str(trial.number), (x, y), xytext=(6, 6), textcoords="offset points", fontsize=SMALL_PT,
                      color=INK, zorder=6)  # fmt: skip
    if is_logarithmic(at):
        axes.set_xscale("log")


def _judged(trials: Sequence[TrialCurve], cost: str, mode: str) -> list[tuple[TrialCurve, float]]:
    known = [(trial, trial.best(mode)) for trial in trials if np.isfinite(trial.costs.get(cost, np.nan))]
    return [(trial, best) for trial, best in known if best is not None]
