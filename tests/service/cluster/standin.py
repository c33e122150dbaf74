"""A training that takes no time, in place of the real one: the figures follow from the settings alone.

It keeps a checkpoint as the real one does, and writes every epoch that it computes into `epochs.txt` of its folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, Resources, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import Choice, Integer, Uniform
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.config import TrainingConfig
from fusegpt.training.report import Report, Result, TrainingError
from service.events import Search, Trial

METRIC = "val/ade_m"
SPACE = {
    "model.n_head": Choice(values=(1, 2, 4, 8)),
    "model.n_embd": Integer(low=64, high=256, step=32),
    "model.resid_pdrop": Uniform(low=0.0, high=0.5),
}


def experiment(
    trials: int = 4, epochs: int = 3, workers: int = 1, algorithm: str = "random", **search: object
) -> Experiment:
    return Experiment(
        name="standin",
        task=WaypointsConfig(),
        model=FusionConfig(),
        data=WorldData(n_drives=3),
        training=TrainingConfig(epochs=epochs),
        search=SearchConfig.model_validate({"space": SPACE, "algorithm": algorithm, "trials": trials, **search}),
        resources=Resources(workers_per_trial=workers),
    )


def search_of(folder: Path, experiment: Experiment) -> Search:
    return Search(folder.name, experiment, folder, METRIC, "min")


def epochs_take(cache: Path, seconds: float) -> None:
    """How long each epoch takes, for all trainings that share `cache`, also those that run."""
    (cache / "epoch_s").write_text(str(seconds))


def train(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    """Each epoch takes what `epochs_take` said; large n_embd is better, resid_pdrop above 0.45 fails."""
    settings, total = experiment.settings(), experiment.training.epochs
    folder.mkdir(parents=True, exist_ok=True)
    epoch = epoch_of(folder)
    if settings["model.resid_pdrop"] > 0.45:
        raise TrainingError("step 7: the loss is not a finite number")

    def tell() -> None:
        value = 100.0 / settings["model.n_embd"] + 1.0 / epoch
        report(Report(epoch, total, epoch, total, {METRIC: value, "train/loss": value}, folder / "checkpoint"))

    if epoch:
        tell()  # as the real training: its word may have been lost with who listened
    while epoch < total:
        if _stopped(should_stop, float((cache / "epoch_s").read_text())):
            return Result({}, epoch, epoch, epoch, folder / "best", stopped=True)
        epoch += 1
        with (folder / "epochs.txt").open("a") as log:
            log.write(f"{epoch} {os.getpid()}\n")
        keep(folder, epoch)
        tell()
    return Result({}, epoch, epoch, epoch, folder / "best", stopped=False)


def epoch_of(folder: Path) -> int:
    """The epoch of the checkpoint in `folder`; 0 where there is none."""
    state = folder / "checkpoint" / "progress.json"
    return int(json.loads(state.read_text())["epoch"]) if state.exists() else 0


def keep(folder: Path, epoch: int) -> None:
    """What a real training keeps, as far as a search looks at it."""
    for name, file in (("checkpoint", "progress.json"), ("best", "metrics.json")):
        (folder / name).mkdir(exist_ok=True)
        partial = folder / name / ".partial"
        partial.write_text(json.dumps({"epoch": epoch, "fingerprint": "standin"}))
        partial.replace(folder / name / file)
    with (folder / "history.jsonl").open("a") as history:
        history.write(f"{epoch}\n")


def _stopped(should_stop: Callable[[], bool], seconds: float) -> bool:
    """Whether a word to stop came while an epoch's time went by."""
    end = time.monotonic() + seconds
    while not should_stop():
        if time.monotonic() >= end:
            return False
        time.sleep(min(0.02, seconds))
    return True


class Notes:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, object]] = []

    def search_started(self, search: Search) -> None:
        self.notes.append(("search_started", search.name, None))

    def trial_started(self, trial: Trial) -> None:
        self.notes.append(("trial_started", trial.id, dict(trial.drawn)))

    def trial_reported(self, trial: Trial) -> None:
        self.notes.append(("trial_reported", trial.id, trial.epoch))

    def trial_ended(self, trial: Trial) -> None:
        self.notes.append(("trial_ended", trial.id, trial.state))

    def search_ended(self, search: Search, trials: list[Trial]) -> None:
        self.notes.append(("search_ended", search.name, len(trials)))
