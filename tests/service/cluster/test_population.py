"""Population-based training, driven by hand: no Ray, no clock."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin import experiment, search_of

from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer, LogUniform, Uniform
from service.cluster.draws import Draws
from service.cluster.lineage import Stage, lineage
from service.cluster.population import Population, explored
from service.cluster.record import Exchange, TrialRecord, read_trials, trial_folder, write_trial
from service.errors import Refused

LR = {"training.lr": {"low": 1e-4, "high": 1e-1, "log": True}}


class Hands:
    """Runs the turns of one population on disk. Each epoch lowers a trial's value by how near its lr is to 0.01."""

    def __init__(self, folder: Path, asked: Experiment) -> None:
        self.search = search_of(folder, asked)
        self.turns: list[tuple[int, int]] = []
        self.begin()

    def begin(self) -> None:
        """As after the start of a new driver."""
        self.records = {record.number: record for record in read_trials(self.search)}
        draws = Draws(self.search.experiment, "min")
        self.population = Population(self.search, draws, lambda: list(self.records.values()), self.keep, self.refuse)

    def keep(self, record: TrialRecord) -> None:
        self.records[record.number] = record
        write_trial(self.search, record)

    def refuse(self, number: int, drawn: dict[str, Any], why: str) -> None:
        self.keep(TrialRecord(number=number, drawn=drawn, state="failed", error=why))

    def train(self, turn: dict[str, Any], until: int = 0) -> None:
        """Run one turn, or a part of it."""
        number, folder = turn["number"], trial_folder(self.search, turn["number"])
        self.turns.append((number, turn["until"]))
        record = self.records.get(number) or TrialRecord(number=number, drawn=turn["drawn"], state="running")
        assert turn["drawn"] == record.drawn
        state = folder / "checkpoint" / "progress.json"
        epoch, value = json.loads(state.read_text()) if state.exists() else (0, 10.0)
        assert epoch == record.epoch
        for name in ("checkpoint", "best"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        while epoch < (until or turn["until"]):
            epoch, value = epoch + 1, value - 1 / (1 + abs(math.log10(record.drawn["training.lr"]) + 2))
            state.write_text(json.dumps([epoch, value]))
            (folder / "best" / "progress.json").write_text(json.dumps([epoch, value]))
            (folder / "history.jsonl").write_text(f"{epoch}\n")
            record = record.model_copy(update={"values": {**record.values, epoch: value}})
        ended = epoch == self.search.experiment.training.epochs
        self.keep(record.model_copy(update={"state": "finished" if ended else "running"}))

    def all(self, at_once: int = 3) -> dict[int, TrialRecord]:
        """Run all turns, so many at once."""
        out: list[dict[str, Any]] = []
        while not self.population.over:
            while len(out) < at_once and (turn := self.population.next()) is not None:
                out.append(turn)
            assert out, "nothing runs and nothing may begin"
            self.train(out.pop(0))
        return self.records


def asked(**search: Any) -> Experiment:
    how: dict[str, Any] = {"trials": 8, "epochs": 6, "algorithm": "pbt", "grace_epochs": 2, "space": LR, **search}
    return experiment(**how)


def test_every_generation_ends_before_the_next_begins(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "a", asked())
    assert hands.population.count == 24
    hands.all()
    assert [until for _, until in hands.turns] == [2] * 8 + [4] * 8 + [6] * 8
    for until in (2, 4, 6):
        assert sorted(number for number, at in hands.turns if at == until) == list(range(8))


def test_the_worst_go_on_from_the_best_with_settings_near_theirs(tmp_path: Path) -> None:
    records = Hands(tmp_path / "a", asked()).all()
    exchanged = [(record, exchange) for record in records.values() for exchange in record.exchanges]
    assert {exchange.epoch for _, exchange in exchanged} == {2, 4}
    assert len(exchanged) == 4, "a quarter of eight, twice"
    for record, exchange in exchanged:
        source = records[exchange.source]
        assert record.values[exchange.epoch] < exchange.value
        assert record.values[exchange.epoch] == source.values[exchange.epoch] or source.exchanges
        assert 1e-4 <= exchange.drawn["training.lr"] <= 1e-1
    assert all(record.drawn == record.exchanges[-1].drawn for record in records.values() if record.exchanges)


def test_a_population_ends_better_than_the_same_trials_alone(tmp_path: Path) -> None:
    population = Hands(tmp_path / "a", asked(epochs=12)).all()
    alone = Hands(tmp_path / "b", asked(epochs=12))
    alone.population._exchange = lambda *_: None  # type: ignore[method-assign]
    lonely = alone.all()
    assert np.mean([r.values[12] for r in population.values()]) < np.mean([r.values[12] for r in lonely.values()]) - 0.3
    assert min(r.values[12] for r in population.values()) <= min(r.values[12] for r in lonely.values())


def gain(lr: float) -> float:
    """What an epoch by this learning rate lowers the value by."""
    return 1 / (1 + abs(math.log10(lr) + 2))


@pytest.mark.parametrize("killed_after", [24, 11])
def test_every_trial_is_one_training_whose_settings_change_on_the_way(tmp_path: Path, killed_after: int) -> None:
    hands = Hands(tmp_path / "a", asked(epochs=9, trials=9))
    for _ in range(killed_after):
        turn = hands.population.next()
        assert turn is not None
        hands.train(turn)
    hands.begin()
    records = hands.all()
    courses = {number: lineage(hands.search, record) for number, record in records.items()}
    for number, course in courses.items():
        value, reached = 10.0, 0
        for stage in course:
            for epoch in range(reached + 1, stage.until + 1):
                value -= gain(stage.drawn["training.lr"])
                assert value == pytest.approx(records[number].values[epoch])
            reached = stage.until
        assert (reached, course[-1].drawn) == (9, records[number].drawn)
    assert max(map(len, courses.values())) > 2, "one took over what had been taken over"
    assert all(records[number].exchanges or len(course) == 1 for number, course in courses.items())


def test_an_exchange_at_the_very_end_leaves_the_weights_of_the_other(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "a", asked())
    for _ in range(8):
        turn = hands.population.next()
        assert turn is not None
        hands.train(turn)
    hands.population.next()
    loser = next(record for record in hands.records.values() if record.exchanges)
    source = hands.records[loser.exchanges[0].source]
    assert lineage(hands.search, loser) == [Stage(2, source.drawn, source.number)]


def test_a_way_that_cannot_be_gone_again_says_which_record_is_missing(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "a", asked())
    records = hands.all()
    loser = next(record for record in records.values() if record.exchanges)
    source, epoch = loser.exchanges[-1].source, loser.exchanges[-1].epoch
    (trial_folder(hands.search, source) / "trial.json").unlink()
    says = rf"a: trial {loser.number} went on from trial {source} after epoch {epoch}, and the record of that one is"
    with pytest.raises(Refused, match=says):
        lineage(hands.search, loser)


def test_a_record_that_does_not_tell_what_a_trial_began_with_is_named(tmp_path: Path) -> None:
    search = search_of(tmp_path / "a", asked())

    def taken(number: int, epoch: int, source: int, **changes: Any) -> TrialRecord:
        exchange = Exchange(epoch=epoch, source=source, value=1.0, drawn={"training.lr": 0.02})
        values = dict.fromkeys(range(1, 7), 1.0)
        kept = TrialRecord(number=number, drawn=exchange.drawn, state="finished", values=values, exchanges=(exchange,))
        write_trial(search, kept.model_copy(update=changes))
        return kept

    taken(0, epoch=4, source=2)
    loser = taken(1, epoch=2, source=0)
    with pytest.raises(Refused, match="a: the record of trial 0 does not tell the settings that it began with"):
        lineage(search, loser)
    taken(0, epoch=4, source=2, began={"training.lr": 0.5})
    assert lineage(search, loser) == [Stage(2, {"training.lr": 0.5}, 0), Stage(6, {"training.lr": 0.02}, 1)]


@pytest.mark.parametrize("killed_after", [1, 5, 8, 9, 11, 16, 20])
@pytest.mark.parametrize("halfway", [False, True])
def test_a_population_that_was_killed_ends_with_the_same_records(
    tmp_path: Path, killed_after: int, halfway: bool
) -> None:
    unbroken = Hands(tmp_path / "a", asked()).all()
    hands = Hands(tmp_path / "b", asked())
    for _ in range(killed_after):
        turn = hands.population.next()
        assert turn is not None
        hands.train(turn)
    if halfway and (turn := hands.population.next()) is not None:
        hands.train(turn, until=turn["until"] - 1)
    hands.begin()
    assert hands.all() == unbroken


def test_an_exchange_that_was_cut_short_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = Hands(tmp_path / "a", asked()).all()
    hands = Hands(tmp_path / "b", asked())
    for _ in range(8):
        turn = hands.population.next()
        assert turn is not None
        hands.train(turn)

    def killed(_record: TrialRecord) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hands.population, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        hands.population.next()
    hands.begin()
    assert hands.all() == unbroken


def test_a_trial_that_fails_leaves_the_others_going_on(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "a", asked())
    turn = hands.population.next()
    assert turn is not None
    hands.keep(TrialRecord(number=turn["number"], drawn=turn["drawn"], state="failed", error="out of memory"))
    records = hands.all()
    assert [record.state for record in records.values()].count("finished") == 7
    assert len({number for number, _ in hands.turns}) == 7
    assert sum(len(record.exchanges) for record in records.values()) == 2, "a quarter of seven is one"


def test_what_was_taken_over_is_on_disk_with_the_new_settings(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "a", asked())
    for _ in range(8):
        turn = hands.population.next()
        assert turn is not None
        hands.train(turn)
    hands.population.next()
    loser = next(record for record in hands.records.values() if record.exchanges)
    folders = [trial_folder(hands.search, n) for n in (loser.number, loser.exchanges[0].source)]
    for name in ("checkpoint/progress.json", "best/progress.json", "history.jsonl"):
        assert (folders[0] / name).read_text() == (folders[1] / name).read_text()
    kept = json.loads((folders[0] / "checkpoint" / "experiment.json").read_text())
    assert kept["training"]["lr"] == loser.drawn["training.lr"]


DOMAINS: list[tuple[Domain, Any]] = [
    (Choice(values=(0.0, 0.1, 0.2)), 0.2),
    (Integer(low=2, high=20, step=3), 2),
    (Uniform(low=0.0, high=0.3), 0.0),
    (LogUniform(low=1e-4, high=1e-1), 1e-4),
]


@given(st.sampled_from(DOMAINS), st.integers(0, 1000))
def test_what_is_explored_lies_in_the_domain(case: tuple[Domain, Any], seed: int) -> None:
    domain, value = case
    random = np.random.default_rng(seed)
    for _ in range(20):
        value = explored(value, domain, random)
        assert domain.contains(value)


@pytest.mark.parametrize(("domain", "value"), DOMAINS)
def test_every_setting_can_leave_its_end(domain: Domain, value: Any) -> None:
    assert len({explored(value, domain, np.random.default_rng(seed)) for seed in range(40)}) > 2


def test_a_default_outside_its_domain_comes_back_into_it() -> None:
    for domain in (Uniform(low=0.1, high=0.3), LogUniform(low=0.1, high=0.3)):
        assert all(domain.contains(explored(0.9, domain, np.random.default_rng(seed))) for seed in range(20))
    whole, choice = Integer(low=2, high=20, step=3), Choice(values=("a", "b"))
    for seed in range(20):
        assert whole.contains(explored(90, whole, np.random.default_rng(seed)))
        assert choice.contains(explored("x", choice, np.random.default_rng(seed)))
