"""Population-based training over several workers, for real: Ray Train's groups, the real training, real checkpoints."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_trials import free_again, tiny
from standin import METRIC, Notes, search_of

from fusegpt.experiment import Experiment
from fusegpt.search_space import LogUniform
from fusegpt.training.clone import clone
from fusegpt.training.history import read_history
from service.cluster.local_ray import connect
from service.cluster.notes import cancel
from service.cluster.record import read_trials, trial_folder
from service.cluster.train import train_alone
from service.cluster.tune import search
from service.settings import Settings

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # dozens of processes begin, each with PyTorch and Ray: slow where the machine is busy
    pytest.mark.filterwarnings("ignore:`.*is deprecated"),  # Ray Data, of its own settings
]

EPOCHS = 2


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Connected to a Ray of our own with room for two trials of two workers."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), tracking_uri="")
    with connect(settings, cpus=2):
        yield settings


def asked() -> Experiment:
    """Four trials, as many as a population needs; two of them never train."""
    space = {"training.lr": LogUniform(low=1e-5, high=1e-3)}
    return tiny(2, EPOCHS, space=space, algorithm="pbt", trials=4, grace_epochs=1).override(
        {"resources.cpus_per_worker": 0.5}
    )


def weights(trial: Path) -> str:
    return hashlib.sha256((trial / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()


class Seen:
    """Clones as the population does, and keeps what lay in both folders."""

    def __init__(self, folder: Path) -> None:
        self.given, self.own = folder / "given", folder / "own"
        self.names: list[tuple[str, str]] = []

    def __call__(self, source: Path, target: Path, experiment: Experiment) -> None:
        shutil.copytree(target, self.own)
        clone(source, target, experiment)
        assert weights(source) == weights(target) != weights(self.own)
        shutil.copytree(target, self.given)
        self.names.append((source.name, target.name))


def test_a_population_of_two_workers_a_trial_exchanges_weights_and_ends_each_trial_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked_for, notes = search_of(settings.runs / "population", asked()), Notes()
    seen = Seen(tmp_path)
    for number in (2, 3):
        cancel(trial_folder(asked_for, number))
    monkeypatch.setattr("service.cluster.population.SHARE", 2)  # the worse half of the two that are left
    monkeypatch.setattr("service.cluster.population.clone", seen)
    trials = search(asked_for, settings, [notes])
    assert free_again()
    told = Counter((kind, name) for kind, name, _ in notes.notes)
    assert [told["trial_started", trial.id] for trial in trials] == [1] * 4
    assert [told["trial_ended", trial.id] for trial in trials] == [1] * 4
    assert [trial.error for trial in trials] == [""] * 4
    (loser,) = (record for record in read_trials(asked_for) if record.exchanges)
    winner, folder = trial_folder(asked_for, loser.exchanges[0].source), trial_folder(asked_for, loser.number)
    assert seen.names == [(winner.name, folder.name)]
    ends = {trial.id: (trial.state, trial.epoch) for trial in trials}
    assert [ends.pop(name) for name in seen.names[0]] == [("finished", EPOCHS)] * 2
    assert list(ends.values()) == [("cancelled", 0)] * 2
    rows = read_history(folder / "history.jsonl")
    assert [row.step for row in rows] == [rows[0].step, EPOCHS * rows[0].step], "it went on from the other's step"
    assert rows[0] == read_history(winner / "history.jsonl")[0], "its first epoch is the other's"
    follows(asked_for.experiment.override(loser.drawn), settings, seen, rows[1].metrics[METRIC])


def follows(experiment: Experiment, settings: Settings, seen: Seen, value: float) -> None:
    """What came after the exchange follows from the other's weights by the new settings, and not from its own."""
    clone(seen.own, seen.own, experiment)
    came = []
    for folder in (seen.given, seen.own):
        train_alone(experiment, folder, settings.cache, lambda _: None, lambda: False)
        came.append(read_history(folder / "history.jsonl")[-1].metrics[METRIC])
    assert came[0] == pytest.approx(value, rel=1e-3)
    assert came[1] != pytest.approx(value, rel=1e-3)  # by 1.7 %
