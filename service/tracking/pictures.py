"""The pictures of a search, as files for the tracker to send. A picture that cannot be drawn fails no search."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from service.events import Search, Trial, best_of

log = logging.getLogger("fusegpt.tracking")


def draw_trial(trial: Trial) -> list[Path]:
    """What the trial itself left in its folder's pictures/."""
    return sorted((trial.folder / "pictures").glob("*.png"))


def draw_search(search: Search, trials: list[Trial], cache: Path) -> list[Path]:
    """The overview of the search, and the best trial's predictions against the truth."""
    best = best_of(search, trials)
    drawn = _tried(lambda: _overview(search, trials))
    return drawn + (_tried(lambda: _predictions(best, search.folder / "pictures", cache)) if best else [])


def _tried(draw: Callable[[], list[Path]]) -> list[Path]:
    try:
        return draw()
    except Exception as error:
        log.warning("tracking: a picture could not be drawn: %s: %s", type(error).__name__, error)
        return []


def _overview(search: Search, trials: list[Trial]) -> list[Path]:
    return []


def _predictions(best: Trial, folder: Path, cache: Path) -> list[Path]:
    """Predicted against true waypoints on data that the model was not trained on."""
    from fusegpt.predictor import Predictor

    if not (best.folder / "best").is_dir():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.load(best.folder / "best")
    return predictor.task.draw(predictor.model, predictor.task.open_splits(cache).val, folder)
