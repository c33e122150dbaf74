"""`Population`: population-based training, generation by generation.

Jaderberg et al., "Population Based Training of Neural Networks", 2017, in its synchronous form: all trials train for
`search.grace_epochs` epochs; then each of the worst quarter goes on from the checkpoint of one of the best quarter,
with that one's settings perturbed, and the next generation begins. More trials than fit at once take turns.

Every exchange is a function of the records, so a search that was killed comes to the same ones again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fusegpt.search_space import Choice, Domain, Integer, LogUniform
from fusegpt.training.clone import clone
from service.cluster.draws import Draws
from service.cluster.record import Exchange, TrialRecord, trial_folder
from service.cluster.turns import Refuse
from service.events import Search

SHARE = 4  # one in so many is among the worst, and one among the best
ANEW = 0.25  # how often a setting is drawn anew instead of perturbed
FACTOR, STEP = 1.2, 0.1  # what a logarithmic setting is multiplied or divided by; what share of its range another moves


class Population:
    """Whose turn it is. `keep` is told of a record that an exchange has changed."""

    def __init__(
        self,
        search: Search,
        draws: Draws,
        records: Callable[[], Sequence[TrialRecord]],
        keep: Callable[[TrialRecord], None],
        refuse: Refuse,
        first: Sequence[dict[str, Any]] = (),
    ) -> None:
        self._search, self._draws, self._records = search, draws, records
        self._keep, self._refuse = keep, refuse
        config = search.experiment.search
        self._epochs, self._length, self._size = search.experiment.training.epochs, config.grace_epochs, config.trials
        self._first = dict(enumerate(first, start=1))
        self._out: dict[int, int] = {}  # those who run now -> until which epoch

    @property
    def count(self) -> int:
        return sum(math.ceil((self._epochs - epoch) / self._length) for epoch in self._standing().values())

    @property
    def over(self) -> bool:
        return not self._standing()

    def next(self) -> dict[str, Any] | None:
        standing = self._standing()
        self._out = {n: until for n, until in self._out.items() if n in standing and standing[n] < until}
        generation = min((epoch // self._length for epoch in standing.values()), default=0)
        self._exchange(generation * self._length, standing)
        records = {record.number: record for record in self._records()}
        for number, epoch in sorted(standing.items()):
            if number in self._out or epoch // self._length > generation:
                continue
            drawn = records[number].drawn if number in records else self._draw(number, records.values())
            if number not in records and (why := self._draws.excess(drawn)):
                self._refuse(number, drawn, why)
                continue
            self._out[number] = min((generation + 1) * self._length, self._epochs)
            return {"number": number, "drawn": drawn, "until": self._out[number]}
        return None

    def _standing(self) -> dict[int, int]:
        """The trials that are not over -> their last finished epoch."""
        standing = dict.fromkeys(range(self._size), 0)
        for record in self._records():
            if record.state == "running":
                standing[record.number] = record.epoch
            else:
                standing.pop(record.number, None)
        return standing

    def _draw(self, number: int, others: Any) -> dict[str, Any]:
        return self._first.get(number) or self._draws.draw(number, [record.drawn for record in others])

    def _exchange(self, epoch: int, standing: Mapping[int, int]) -> None:
        """Let the worst go on from the best, where all have come to `epoch` and none has gone on."""
        if not epoch or any(at != epoch for at in standing.values()) or self._out:
            return
        records = {record.number: record for record in self._records()}
        ranked = sorted(standing, key=lambda number: self._rank(records[number], epoch))
        count = len(ranked) // SHARE
        best, worst = ranked[:count], ranked[len(ranked) - count :]
        for number in sorted(worst):
            if not any(exchange.epoch == epoch for exchange in records[number].exchanges):
                random = np.random.default_rng([self._search.experiment.search.seed, number, epoch])
                self._take_over(records[number], records[best[int(random.integers(count))]], epoch, random)

    def _rank(self, record: TrialRecord, epoch: int) -> tuple[float, int]:
        """Smaller is better; by what it reached itself, also after it has taken over another's figures."""
        own = next((exchange.value for exchange in record.exchanges if exchange.epoch == epoch), record.values[epoch])
        return (own if self._search.mode == "min" else -own), record.number

    def _take_over(self, loser: TrialRecord, winner: TrialRecord, epoch: int, random: np.random.Generator) -> None:
        """On disk first, then in the record: cut short between the two, it is done again."""
        space = self._search.experiment.search.space
        drawn = {**winner.drawn, **{key: explored(winner.drawn[key], space[key], random) for key in space}}
        experiment = self._search.experiment.override(drawn)
        clone(trial_folder(self._search, winner.number), trial_folder(self._search, loser.number), experiment)
        exchange = Exchange(epoch=epoch, source=winner.number, value=loser.values[epoch], drawn=drawn)
        began = loser.began if loser.exchanges else loser.drawn
        taken = {"drawn": drawn, "values": winner.values, "exchanges": (*loser.exchanges, exchange), "began": began}
        self._keep(loser.model_copy(update=taken))


def explored(value: Any, domain: Domain, random: np.random.Generator) -> Any:
    """A value near this one, or now and then any of the domain; always within it."""
    up, anew = bool(random.integers(2)), bool(random.random() < ANEW)
    if isinstance(domain, Choice):
        values = domain.values
        place = values.index(value) + (1 if up else -1) if value in values else 0
        return values[int(random.integers(len(values)))] if anew else values[min(max(place, 0), len(values) - 1)]
    if isinstance(domain, Integer):
        if anew:
            return domain.low + domain.step * int(random.integers(domain.count))
        place = round((value - domain.low) / domain.step) + (1 if up else -1)
        return domain.low + domain.step * min(max(place, 0), domain.count - 1)
    if isinstance(domain, LogUniform):
        if anew:
            return float(math.exp(random.uniform(math.log(domain.low), math.log(domain.high))))
        return min(max(float(value) * (FACTOR if up else 1 / FACTOR), domain.low), domain.high)
    if anew:
        return float(random.uniform(domain.low, domain.high))
    span = (domain.high - domain.low) * STEP
    return min(max(float(value) + (span if up else -span), domain.low), domain.high)
