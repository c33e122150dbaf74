"""`Suggestions`: what Tune starts next: first the trials that were interrupted, then new draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from service.cluster.draws import Draws
from service.cluster.record import TrialRecord
from service.events import Search


class Suggestions(Searcher):  # type: ignore[misc]
    """Suggests {"number": ..., "drawn": {...}}. `records` tells all trials so far, `ending` that no more may begin."""

    def __init__(
        self,
        search: Search,
        past: Sequence[TrialRecord],
        records: Callable[[], Sequence[TrialRecord]],
        ending: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._draws = Draws(search.experiment, search.mode)
        self._epochs = search.experiment.training.epochs
        self._interrupted = [record for record in past if record.state == "running"]
        begun = {record.number for record in past}
        self._numbers = [number for number in range(search.experiment.search.trials) if number not in begun]
        self._records, self._ending = records, ending
        self._told: set[int] = set()
        self._taken = [record.drawn for record in past]

    @property
    def count(self) -> int:
        """How many trials are still to begin or to go on."""
        return len(self._interrupted) + len(self._numbers)

    def suggest(self, _trial_id: str) -> dict[str, Any] | str:
        if self._ending() or not self.count:
            return str(Searcher.FINISHED)
        if self._interrupted:
            record = self._interrupted.pop(0)
            return {"number": record.number, "drawn": record.drawn}
        self._learn()
        number = self._numbers.pop(0)
        drawn = self._draws.draw(number, self._taken)
        self._taken.append(drawn)
        return {"number": number, "drawn": drawn}

    def _learn(self) -> None:
        """Tell the draws of the trials that have ended since."""
        for record in self._records():
            if record.state in ("finished", "stopped") and record.number not in self._told:
                self._told.add(record.number)
                self._draws.tell(record.drawn, record.values, stopped=max(record.values, default=0) < self._epochs)

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        """Nothing: what a trial reached is read from its record."""

    def save(self, _path: str) -> None:
        """Nothing: a search is taken up from its records."""

    def restore(self, _path: str) -> None:
        """Nothing: a search is taken up from its records."""
