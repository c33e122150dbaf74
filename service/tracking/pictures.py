"""The pictures of a search, as files for the tracker to send; `Sketcher` draws them while the search goes on, too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.events import Search, Trial, best_of
from service.tracking.overview import Told, draw_overview, tried

# A search may not be held up by its pictures: they are drawn again after this long, and after this many times as long
# as drawing took.
PAUSE_S, PATIENCE = 60.0, 50


def draw_trial(trial: Trial) -> list[Path]:
    """What the trial itself left in its folder's pictures/."""
    return sorted((trial.folder / "pictures").glob("*.png"))


def draw_search(search: Search, trials: Sequence[Trial], told: Told, cache: Path) -> list[Path]:
    """The overview of the search, and what the best trial's model does on data that it was not trained on.

    Of an interrupted search the curves alone: whoever stopped it waits for its end.
    """
    if any(trial.state == "running" for trial in trials):
        return tried(lambda: draw_overview(search, trials, told, brief=True))
    best = best_of(search, list(trials))
    drawn = tried(lambda: draw_overview(search, trials, told))
    return drawn + (tried(lambda: _best(best, search.folder / "pictures", cache)) if best else [])


def _best(best: Trial, folder: Path, cache: Path) -> list[Path]:
    from fusegpt.predictor import Predictor

    if not (best.folder / "best").is_dir():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.load(best.folder / "best")
    return predictor.task.draw(predictor.model, predictor.task.open_splits(cache).val, folder)


class Sketcher:
    """Draws in a thread, one picture set at a time, seldom."""

    def __init__(self, draw: Callable[[], None], pause_s: float | None = None) -> None:
        self._draw = draw
        self._pause_s = PAUSE_S if pause_s is None else pause_s
        self._next_at = time.monotonic() + self._pause_s
        self._thread: threading.Thread | None = None
        self._closed = False

    def nudge(self) -> None:
        """There is something new. Returns at once."""
        busy = self._thread is not None and self._thread.is_alive()
        if self._closed or busy or time.monotonic() < self._next_at:
            return
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when nothing is being drawn, and never draw again."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        self._draw()
        ended = time.monotonic()
        self._next_at = ended + max(self._pause_s, PATIENCE * (ended - began))
