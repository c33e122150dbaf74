"""From an experiment to a champion: a search (or one training), the best trial registered, the gate.

The commands and the demo call this; the job service will.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from fusegpt.experiment import Experiment
from fusegpt.training.report import Report
from service.cluster.record import read_spent, trial_folder, trial_id
from service.errors import sentence
from service.events import Observer, Search, Trial, best_of, front_of
from service.registry import Decision, Registry, Version
from service.settings import Settings
from service.tracking import Tracker

# Until which epoch by which settings; 0 is to the end.
Course = Sequence[tuple[int, Experiment]]


@dataclass(frozen=True)
class Outcome:
    """What a job came to. `version` is None where no trial reported the metric, `decision` where none was asked for.

    front:   with several objectives, the trials that none beats in all, the best by the metric first.
    ended:   why a search ended before its last trial; empty where it did not.
    redrawn: draws that had too many parameters, and were never started.
    """

    search: Search
    trials: list[Trial]
    best: Trial | None
    version: Version | None = None
    decision: Decision | None = None
    front: list[Trial] = field(default_factory=list)
    ended: str = ""
    redrawn: int = 0


def search_of(experiment: Experiment, name: str, settings: Settings) -> Search:
    """The search of this experiment under a name; the name is made from the time when it is empty."""
    name = name or f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"
    headline = experiment.task.headline
    return Search(name, experiment, settings.runs / name, experiment.search.metric or headline.name, headline.mode)


def tune(
    search: Search,
    settings: Settings,
    observers: Sequence[Observer],
    *,
    resume: bool = False,
    promote: bool = True,
    as_job: bool = False,
) -> Outcome:
    """Search the space on the cluster that `settings` names, register the best trial, promote it if it is better.

    `as_job`: it is a job of the service under the search's name.
    """
    from service.cluster import tune as cluster

    tracker = Tracker(settings, as_job=as_job)
    trials = cluster.search(search, settings, [tracker, *observers], resume=resume)
    return _publish(search, trials, tracker, settings, promote=promote)


def train(
    search: Search,
    settings: Settings,
    observers: Sequence[Observer],
    *,
    promote: bool = False,
    register: bool = True,
    until_epoch: int = 0,
    before: Course = (),
) -> Outcome:
    """Train the experiment as it stands: a search of one trial, without a tuner.

    Under the name of an interrupted training it goes on from its checkpoint. `until_epoch` stops it after so many
    epochs of those that its schedule has; 0 does not. `before` are other settings that it trains by first, each up to
    an epoch. Without `register` the model stays where it is.
    """
    tracker = Tracker(settings)
    trial = Trial(trial_id(0), 0, {}, trial_folder(search, 0))
    watchers = [tracker, *observers]
    _tell(watchers, lambda watcher: watcher.search_started(search))
    _tell(watchers, lambda watcher: watcher.trial_started(trial))
    try:
        _run(search, trial, settings, watchers, [*before, (until_epoch, search.experiment)])
        _tell(watchers, lambda watcher: watcher.trial_ended(trial))
    finally:  # an interrupted trial is told as running: that is what can be taken up again
        _tell(watchers, lambda watcher: watcher.search_ended(search, [trial]))
    if not register:
        return Outcome(search, [trial], best_of(search, [trial]))
    return _publish(search, [trial], tracker, settings, promote=promote)


def _tell(observers: Sequence[Observer], event: Callable[[Observer], None]) -> None:
    for observer in observers:
        event(observer)


def _run(search: Search, trial: Trial, settings: Settings, observers: Sequence[Observer], course: Course) -> None:
    """Train; what fails is the trial's error, in one sentence, as in a search."""
    from fusegpt.training.clone import clone
    from service.cluster.train import run_trial

    start = time.perf_counter()
    pick = min if search.mode == "min" else max

    def report(told: Report) -> None:
        if told.epoch <= trial.epoch:  # what goes on tells its last epoch again
            return
        trial.epoch, trial.metrics = told.epoch, dict(told.metrics)
        trial.seconds = time.perf_counter() - start
        value = told.metrics[search.metric]
        trial.best = value if trial.best is None else pick(trial.best, value)
        _tell(observers, lambda watcher: watcher.trial_reported(trial))

    try:
        for until, experiment in course:
            if trial.epoch:  # by other settings from here on
                clone(trial.folder, trial.folder, experiment)
            result = run_trial(experiment, trial.folder, settings.cache, report, partial(_enough, trial, until))
        trial.state = "stopped" if result.stopped else "finished"
    except Exception as error:
        trial.state, trial.error = "failed", sentence(error)


def _enough(trial: Trial, until_epoch: int) -> bool:
    return 0 < until_epoch <= trial.epoch


def _publish(search: Search, trials: list[Trial], tracker: Tracker, settings: Settings, *, promote: bool) -> Outcome:
    from fusegpt.training.checkpoint import read_scores  # brings PyTorch, which the trials need first

    best, spent = best_of(search, trials), read_spent(search.folder)
    outcome = Outcome(search, trials, best, front=front_of(search, trials), ended=spent.ended, redrawn=spent.redrawn)
    if best is None:
        return outcome
    registry = Registry(settings)
    name = search.experiment.name
    scores = read_scores(best.folder / "best")
    version = registry.register(name, best.folder / "best", tracker.run_id(best), scores.metrics)
    decision = registry.promote(name, version.number) if promote else None
    tracker.carry_the_rest()  # MLflow may have been away when the search ended, and has come back since
    return replace(outcome, version=version, decision=decision)
