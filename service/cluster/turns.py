"""`InTurn`: whose turn it is in a search whose trials each run once: those that were interrupted, then new draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from service.cluster.draws import Draws
from service.cluster.record import TrialRecord
from service.events import Search

Refuse = Callable[[int, dict[str, Any], str], None]


class Turns(Protocol):
    """What may run next: {"number": ..., "drawn": {...}}, and "until" where it is to pause after that epoch."""

    @property
    def count(self) -> int:
        """How many turns are still to come, at most."""
        ...

    def next(self) -> dict[str, Any] | None:
        """The next turn; None where there is none until one that runs has ended, or no more at all (`over`)."""
        ...

    @property
    def over(self) -> bool: ...


class InTurn:
    """`records` tells all trials so far; `refuse` is told of a number whose settings may not start, and why.

    `first` are settings to try right after the defaults.
    """

    def __init__(
        self,
        search: Search,
        draws: Draws,
        past: Sequence[TrialRecord],
        records: Callable[[], Sequence[TrialRecord]],
        refuse: Refuse,
        first: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._draws, self._records, self._refuse = draws, records, refuse
        self._epochs = search.experiment.training.epochs
        self._interrupted = [record for record in past if record.state == "running"]
        begun = {record.number for record in past}
        self._numbers = [number for number in range(search.experiment.search.trials) if number not in begun]
        self._first = dict(enumerate(first, start=1))
        self._told: set[int] = set()
        self._taken = [record.drawn for record in past]

    @property
    def count(self) -> int:
        return len(self._interrupted) + len(self._numbers)

    @property
    def over(self) -> bool:
        return not self.count

    def next(self) -> dict[str, Any] | None:
        if self._interrupted:
            record = self._interrupted.pop(0)
            return {"number": record.number, "drawn": record.drawn}
        self._learn()
        while self._numbers:
            number = self._numbers.pop(0)
            drawn = self._first.get(number) or self._draws.draw(number, self._taken)
            self._taken.append(drawn)
            if not (why := self._draws.excess(drawn)):
                return {"number": number, "drawn": drawn}
            self._refuse(number, drawn, why)
        return None

    def _learn(self) -> None:
        """Tell the draws of the trials that have ended since."""
        for record in self._records():
            if record.state != "running" and record.number not in self._told:
                self._told.add(record.number)
                tell(self._draws, record, self._epochs)


def tell(draws: Draws, record: TrialRecord, epochs: int) -> None:
    """Tell the draws what a trial that has ended came to. One that failed otherwise than by a limit tells nothing."""
    infeasible = record.state == "failed" and not record.values
    if infeasible or record.state in ("finished", "stopped"):
        draws.tell(record.drawn, record.values, stopped=record.epoch < epochs, costs=record.metrics)
