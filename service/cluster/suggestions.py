"""`Suggestions`: tells Tune what starts next, as the `Turns` of the search say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from fusegpt.config import SettingError
from service.cluster.turns import Turns


class Suggestions(Searcher):  # type: ignore[misc]
    """Suggests a turn after the other. `ending` tells that no more may begin.

    `error` is why there can be no more: a space that holds nothing that fits.
    """

    def __init__(self, turns: Turns, ending: Callable[[], bool]) -> None:
        super().__init__()
        self._turns, self._ending = turns, ending
        self.error: SettingError | None = None

    def suggest(self, _trial_id: str) -> dict[str, Any] | str | None:
        if self._ending() or self._turns.over:
            return str(Searcher.FINISHED)
        try:
            turn = self._turns.next()
        except ValueError as error:
            self.error = SettingError(str(error))
            return str(Searcher.FINISHED)
        return str(Searcher.FINISHED) if turn is None and self._turns.over else turn

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """Nothing: what a trial reached is read from its record."""

    def save(self, _path: str) -> None:
        """Nothing: a search is taken up from its records."""

    def restore(self, _path: str) -> None:
        """Nothing: a search is taken up from its records."""
