"""The pictures of a search, as files for the tracker to send. A picture that cannot be drawn fails no search."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from service.events import Search, Trial, baseline_of, best_of

# Trial id -> epoch -> value of the search's metric, as the tracker was told.
Told = Mapping[str, Mapping[int, float]]

log = logging.getLogger("fusegpt.tracking")


def draw_trial(trial: Trial) -> list[Path]:
    """What the trial itself left in its folder's pictures/."""
    return sorted((trial.folder / "pictures").glob("*.png"))


def draw_search(search: Search, trials: list[Trial], told: Told, cache: Path) -> list[Path]:
    """The overview of the search, and the best trial's predictions against the truth."""
    best = best_of(search, trials)
    drawn = _tried(lambda: _overview(search, trials, told))
    return drawn + (_tried(lambda: _predictions(best, search.folder / "pictures", cache)) if best else [])


def _tried(draw: Callable[[], list[Path]]) -> list[Path]:
    try:
        return draw()
    except Exception as error:
        log.warning("tracking: a picture could not be drawn: %s: %s", type(error).__name__, error)
        return []


def _overview(search: Search, trials: list[Trial], told: Told) -> list[Path]:
    """Learning curves, the best so far, and every searched setting against the metric."""
    from fusegpt.figures.search import TrialCurve
    from fusegpt.figures.search import draw_search as draw

    curves = []
    for trial in trials:
        points = _curve(search, trial, told)
        curves.append(TrialCurve(trial.number, trial.drawn, list(points), list(points.values()), trial.state))
    if not any(curve.best(search.mode) is not None for curve in curves):
        return []
    file = search.folder / "pictures" / "search.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    return [draw(curves, file, metric=search.metric, mode=search.mode, baseline=baseline_of(search, trials))]


def _curve(search: Search, trial: Trial, told: Told) -> dict[int, float]:
    """Epoch -> value: as the trial's own history has it where its folder is on this machine, else as it was told."""
    from fusegpt.training.history import read_history

    rows = read_history(trial.folder / "history.jsonl")
    kept = {row.epoch: row.metrics[search.metric] for row in rows if search.metric in row.metrics}
    return dict(sorted({**told.get(trial.id, {}), **kept}.items()))


def _predictions(best: Trial, folder: Path, cache: Path) -> list[Path]:
    """Predicted against true waypoints on data that the model was not trained on."""
    from fusegpt.predictor import Predictor

    if not (best.folder / "best").is_dir():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.load(best.folder / "best")
    return predictor.task.draw(predictor.model, predictor.task.open_splits(cache).val, folder)
