"""`draw_overview`: what a search found, as pictures, and beside each the numbers that it shows.

search.png      trials.csv       curves, best so far, parallel coordinates
settings.png    settings.csv     the metric at each setting, with bands
importance.png  importance.json  which settings matter; where too few trials tell, the file says that instead
pareto.png      pareto.csv       error against latency and parameters, where trials have them
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusegpt.training.folder import write_text
from service.events import Baseline, Search, Trial, baseline_of

if TYPE_CHECKING:
    from fusegpt.figures.search import TrialCurve

log = logging.getLogger("fusegpt.tracking")

# Trial id -> epoch -> value of the search's metric, as the tracker was told.
Told = Mapping[str, Mapping[int, float]]
Row = Mapping[str, Any]


def draw_overview(search: Search, trials: Sequence[Trial], told: Told, *, brief: bool = False) -> list[Path]:
    """The files, under the search's pictures/; nothing where no trial has a value. `brief`: search.png alone."""
    curves = [_curve(search, trial, told) for trial in trials]
    if not any(curve.best(search.mode) is not None for curve in curves):
        return []
    folder = search.folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    baseline = baseline_of(search, trials)
    parts: list[Callable[[], list[Path]]] = [
        lambda: _trials(search, curves, folder, baseline),
        lambda: _pareto(search, curves, folder),
    ]
    if brief:
        del parts[1:]
    elif len(trials) > 1 and search.experiment.search.space:
        parts.insert(1, lambda: _settings(search, curves, folder, baseline))
        parts.insert(2, lambda: _importance(search, curves, folder))
    return [file for part in parts for file in tried(part)]


def tried(draw: Callable[[], list[Path]]) -> list[Path]:
    """What it draws; a picture that cannot be drawn fails no search."""
    try:
        return draw()
    except Exception as error:
        log.warning("tracking: a picture could not be drawn: %s: %s", type(error).__name__, error)
        return []


def _curve(search: Search, trial: Trial, told: Told) -> TrialCurve:
    """By epoch as the trial's own history has it where its folder is on this machine, else as it was told."""
    from fusegpt.figures.pareto import COSTS
    from fusegpt.figures.search import TrialCurve
    from fusegpt.training.history import read_history

    rows = read_history(trial.folder / "history.jsonl")
    kept = {row.epoch: row.metrics[search.metric] for row in rows if search.metric in row.metrics}
    points = dict(sorted({**told.get(trial.id, {}), **kept}.items()))
    costs = {name: trial.metrics[name] for name in COSTS if name in trial.metrics}
    return TrialCurve(trial.number, trial.drawn, list(points), list(points.values()), trial.state, costs)


def _trials(search: Search, curves: list[TrialCurve], folder: Path, baseline: Baseline | None) -> list[Path]:
    from fusegpt.figures.search import draw_search

    value, name = (baseline.value, baseline.name) if baseline else (None, "")
    file = folder / "search.png"
    picture = draw_search(curves, file, metric=search.metric, mode=search.mode, baseline=value, baseline_name=name)
    keys = list(dict.fromkeys(key for curve in curves for key in curve.settings))
    costs = list(dict.fromkeys(key for curve in curves for key in curve.costs))
    rows = (
        {
            "trial": curve.number, "state": curve.state, "epochs": max(curve.epochs, default=0),
            f"best {search.metric}": curve.best(search.mode),
            f"last {search.metric}": curve.values[-1] if curve.values else None, **curve.costs, **curve.settings,
        }
        for curve in curves
    )  # fmt: skip
    head = ["trial", "state", "epochs", f"best {search.metric}", f"last {search.metric}", *costs, *keys]
    return [picture, _csv(folder / "trials.csv", head, rows)]


def _settings(search: Search, curves: list[TrialCurve], folder: Path, baseline: Baseline | None) -> list[Path]:
    from fusegpt.figures.effects import FEWEST, effects
    from fusegpt.figures.settings import draw_settings

    if sum(curve.best(search.mode) is not None for curve in curves) < FEWEST:
        return []
    found = effects(curves, search.mode)
    if not found:
        return []
    note = caveat(curves)
    value = baseline.value if baseline else None
    picture = draw_settings(found, folder / "settings.png", metric=search.metric, baseline=value, note=note)
    rows = (
        {"setting": effect.key, "value": value, "trials": int(count), "mean": mean, "low": low, "high": high}
        for effect in found
        for value, count, mean, low, high in zip(
            effect.values, effect.trials, effect.mean, effect.low, effect.high, strict=True
        )
    )
    head = ["setting", "value", "trials", "mean", "low", "high"]
    return [picture, _csv(folder / "settings.csv", head, rows)]


def _importance(search: Search, curves: list[TrialCurve], folder: Path) -> list[Path]:
    from fusegpt.figures.importance import draw_importance
    from service.tracking.importance import TooFewError, importance

    file = folder / "importance.json"
    try:
        shares = importance(curves, search.experiment.search.space, search.mode)
    except TooFewError as error:
        return [_json(file, {"metric": search.metric, "settings": [], "note": str(error)})]
    count, note = sum(curve.best(search.mode) is not None for curve in curves), caveat(curves)
    picture = draw_importance(shares, folder / "importance.png", metric=search.metric, trials=count, note=note)
    told = [{**asdict(share), "beyond_chance": share.counts} for share in shares]
    return [picture, _json(file, {"metric": search.metric, "trials": count, "settings": told, "note": note})]


def _pareto(search: Search, curves: list[TrialCurve], folder: Path) -> list[Path]:
    from fusegpt.figures.pareto import costs_of, draw_pareto, front

    costs = costs_of(curves)
    if not costs:
        return []
    picture = draw_pareto(curves, folder / "pareto.png", metric=search.metric, mode=search.mode)
    rows = (
        {"against": cost, "trial": curve.number, cost: curve.costs[cost], search.metric: curve.best(search.mode)}
        for cost in costs
        for curve in front(curves, cost, search.mode)
    )
    return [picture, _csv(folder / "pareto.csv", ["against", "trial", *costs, search.metric], rows)]


def caveat(curves: Sequence[TrialCurve]) -> str:
    """What bends the reading of settings; empty where all trials were trained alike."""
    cut = sum(curve.state in ("stopped", "cancelled") for curve in curves)
    return f"{cut} of {len(curves)} trials were stopped early: a setting that learns slowly looks worse" if cut else ""


def _csv(file: Path, head: list[str], rows: Iterable[Row]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())
    return file


def _json(file: Path, told: Row) -> Path:
    write_text(file, json.dumps(told, indent=2) + "\n")
    return file
