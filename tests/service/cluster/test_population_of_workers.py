"""Population-based training over several workers, for real: Ray Train's groups, the real training, real checkpoints."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from standin import METRIC, Notes, search_of

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, Resources, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import LogUniform
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.clone import clone
from fusegpt.training.config import TrainingConfig
from fusegpt.training.history import read_history
from service.cluster.local_ray import connect
from service.cluster.notes import cancel
from service.cluster.record import read_trials, trial_folder
from service.cluster.train import train_alone
from service.cluster.tune import search
from service.events import Search
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
    """A model without batch statistics or dropout: one worker comes to the numbers of two."""
    encoders = {"image_encoder": "convnext_atto", "lidar_encoder": "convnext_atto"}
    dropouts = dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)
    sizes = {"n_embd": 32, "n_head": 2, "n_layer": 1, "image_anchors": (1, 2), "lidar_anchors": (2, 2)}
    return Experiment(
        name="tiny",
        task=WaypointsConfig(),
        model=FusionConfig.model_validate({**encoders, **dropouts, **sizes}),
        data=WorldData(
            n_drives=4, seconds_per_drive=6, image_height_px=32, image_width_px=64, lidar_azimuths=60, lidar_rings=4
        ),
        training=TrainingConfig(epochs=EPOCHS, batch_size=8),
        search=SearchConfig(
            space={"training.lr": LogUniform(low=1e-5, high=1e-3)}, algorithm="pbt", trials=4, grace_epochs=1
        ),
        resources=Resources(workers_per_trial=2, cpus_per_worker=0.5),
    )


def weights(trial: Path) -> str:
    return hashlib.sha256((trial / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()


class Seen:
    """Clones as the population does, keeps what lay in both folders, and cancels the trials that are not concerned."""

    def __init__(self, asked_for: Search, folder: Path) -> None:
        self._search, self.given, self.own = asked_for, folder / "given", folder / "own"
        self.names: list[tuple[str, str]] = []

    def __call__(self, source: Path, target: Path, experiment: Experiment) -> None:
        shutil.copytree(target, self.own)
        clone(source, target, experiment)
        assert weights(source) == weights(target) != weights(self.own)
        shutil.copytree(target, self.given)
        self.names.append((source.name, target.name))
        for number in range(asked().search.trials):
            if (trial := trial_folder(self._search, number)) not in (source, target):
                cancel(trial)


def free_again() -> bool:
    """Whether every CPU is free and no placement group is left, within seconds."""
    import ray
    from ray.util import placement_group_table

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = {group["state"] for group in placement_group_table().values()} - {"REMOVED"}
        if ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"] and not left:
            return True
        time.sleep(0.2)
    return False


def test_a_population_of_two_workers_a_trial_exchanges_weights_and_ends_each_trial_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked_for, notes = search_of(settings.runs / "population", asked()), Notes()
    seen = Seen(asked_for, tmp_path)
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
    assert list(ends.values()) == [("cancelled", 1)] * 2
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
    assert came[0] == pytest.approx(value, rel=1e-2)
    assert came[1] != pytest.approx(value, rel=1e-2)
