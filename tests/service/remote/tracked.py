"""A search as it is tracked, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusegpt.experiment import Experiment
from service.cluster.record import trial_folder, trial_id
from service.events import Search, Trial
from service.settings import Settings
from service.tracking import Tracker


def track(
    settings: Settings, name: str, experiment: Experiment, trials: Sequence[tuple[dict[str, Any], float]]
) -> None:
    """A search whose trials drew this and reached that after one epoch."""
    metric = experiment.task.headline
    search = Search(name, experiment, settings.runs / name, metric.name, metric.mode)
    search.folder.mkdir(parents=True)
    tracker, ended = Tracker(settings), []
    tracker.search_started(search)
    for number, (drawn, value) in enumerate(trials):
        trial = Trial(trial_id(number), number, drawn, trial_folder(search, number))
        tracker.trial_started(trial)
        trial.epoch, trial.metrics, trial.best, trial.state = 1, {metric.name: value}, value, "finished"
        tracker.trial_reported(trial)
        tracker.trial_ended(trial)
        ended.append(trial)
    tracker.search_ended(search, ended)
