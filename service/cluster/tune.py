"""`search`: many trials of one experiment on a Ray cluster, by Ray Tune; what it comes to is told to observers.

Tune places the trials, reuses their processes and asks ASHA (`halving`). What to try (`draws`), what has happened
(`record`), when to end (`ending`) and how to go on after the driver died are ours, in plain JSON.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from fusegpt.config import SettingError
from service.cluster.capacity import nodes_of_cluster, trials_at_once
from service.cluster.local_ray import connect, is_connected
from service.cluster.measured import Measure, latency_ms
from service.cluster.orphans import release_orphans
from service.cluster.prestart import WARM, prestart
from service.cluster.record import TrialRecord, read_trials, write_front, write_search
from service.cluster.train import run_trial as train_trial
from service.cluster.turns import Turns
from service.cluster.warm_start import Earlier, first_of, warm_start
from service.events import Observer, Search, Trial
from service.settings import Settings

# Tune's switches; it has no others for these.
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # its own files of results; ours are the records
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the result that ends a trial carries no figure
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `ending` has one
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # its own state, which nobody reads
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a trial's error is told to the observers, with its cause
    "RAY_AIR_NEW_OUTPUT": "0",  # tables on standard output
}


def search(
    search: Search,
    settings: Settings,
    observers: Sequence[Observer],
    *,
    resume: bool = False,
    run_trial: Any = train_trial,
    measure: Measure = latency_ms,
) -> list[Trial]:
    """Run the trials of a search, on the cluster that this process is connected to or else that `settings` names.

    Returns all trials by number; one that failed says why and ends nothing else. With `resume`, a search that was
    interrupted, or that is to have more trials or more time than it had, goes on: ended trials stay as they are, the
    others go on from their checkpoints. Why it ended before its last trial is kept in `spent.json` of its folder.

    Raises SettingError where no trial can ever fit the cluster, and where the name is taken (or, with `resume`, was
    never used); ClusterUnreachable; once the trials have kept their state KeyboardInterrupt after SIGINT or SIGTERM,
    and NoPlaceError where the hosts that are left have no place for a trial any more.
    """
    past = _past(search, resume)
    together = search.experiment.resources.workers_per_trial > 1
    # The process of a trial of several workers starts these, and imports nothing of the training.
    first = "" if together else WARM
    with nullcontext() if is_connected() else connect(settings, dashboard=together, first=first):
        return _run(search, settings, observers, past, run_trial, measure)


def _past(search: Search, resume: bool) -> list[TrialRecord]:
    """What happened before under this name."""
    past = read_trials(search)
    if past and not resume:
        raise SettingError(f"{search.folder}: holds a search of this name; resume it, or take another name")
    if resume and not search.folder.exists():
        raise SettingError(f"{search.folder}: is not there; no search was started under the name {search.name!r}")
    return past


def _run(
    search: Search,
    settings: Settings,
    observers: Sequence[Observer],
    past: list[TrialRecord],
    run_trial: Any,
    measure: Measure,
) -> list[Trial]:
    release_orphans()
    resources = search.experiment.resources
    cap = trials_at_once(resources, nodes_of_cluster())
    ended = sum(record.state != "running" for record in past)
    if resources.workers_per_trial == 1:
        prestart(resources, max(0, min(cap, search.experiment.search.trials - ended)))

    from service.cluster.ending import Ending
    from service.cluster.outage import outage_of
    from service.cluster.watcher import Watcher

    earlier = warm_start(search, settings.cache)
    write_search(search)
    watcher = Watcher(search, observers, past)
    ending = Ending(search.folder, search.experiment.search.budget, watcher.gpu_seconds, outage_of(search, settings))
    watcher.tell(lambda observer: observer.search_started(search))
    try:
        with ending.on_signals():
            turns = _turns(search, past, watcher, ending, earlier)
            error = _tune(search, settings, past, watcher, ending, cap, turns, (run_trial, measure))
    finally:
        ending.keep()
    if not ending.cut_short:
        for trial in watcher.trials:
            if trial.state == "running":
                watcher.end(trial.number, "stopped")
    write_front(search, watcher.trials)
    watcher.tell(lambda observer: observer.search_ended(search, watcher.trials))
    ending.raise_if_cut_short()
    if error is not None:
        raise error
    return watcher.trials


def _turns(search: Search, past: list[TrialRecord], watcher: Any, ending: Any, earlier: list[Earlier]) -> Turns:
    """Whose turn it is, as the algorithm has it."""
    from service.cluster.draws import Draws
    from service.cluster.population import Population
    from service.cluster.turns import InTurn

    draws = Draws(search.experiment, search.mode, redrawn=ending.drawn_again)
    for one in earlier:
        draws.tell(one.drawn, one.values, one.stopped, one.costs)
    first = first_of(search, earlier)
    if search.experiment.search.algorithm == "pbt" and search.experiment.search.space:
        return Population(search, draws, lambda: watcher.records, watcher.keep, watcher.refuse, first)
    return InTurn(search, draws, past, lambda: watcher.records, watcher.refuse, first)


def _tune(
    search: Search,
    settings: Settings,
    past: list[TrialRecord],
    watcher: Any,
    ending: Any,
    cap: int,
    turns: Turns,
    work: tuple[Any, Measure],
) -> SettingError | None:
    """The trials that are still to begin or to go on, through Tune. Returns why there could be no more, if so."""
    os.environ.update(TUNE_ENVIRONMENT)
    from ray import tune

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is told to the observers

    from service.cluster.halving import Halving
    from service.cluster.in_order import InOrder
    from service.cluster.suggestions import Suggestions
    from service.cluster.trainable import trainable

    if not turns.count:
        return None
    suggestions = Suggestions(turns, ending.due)
    alone = search.experiment.resources.workers_per_trial == 1
    early = search.experiment.search.stops_early
    tuner = tune.Tuner(
        tune.with_resources(trainable(search, settings.cache, *work), _takes(search)),
        tune_config=tune.TuneConfig(
            search_alg=suggestions,
            scheduler=Halving(search, past, watcher.has_ended) if early else InOrder(watcher.has_ended),
            num_samples=turns.count,
            max_concurrent_trials=cap,
            reuse_actors=alone,
            trial_dirname_creator=lambda trial: f"trial_{trial.config['number']}_{trial.config.get('until', 0)}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(search.folder),
            callbacks=[watcher],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the training keeps its own
            failure_config=tune.FailureConfig(max_failures=-1),  # the watcher counts: see `losses`
            stop=ending,
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        watcher.wait_for_release()
        shutil.rmtree(search.folder / "tune", ignore_errors=True)
    return suggestions.error


def _takes(search: Search) -> Any:
    """What Tune reserves for a trial: its one worker; or next to nothing for the process that starts several."""
    from ray.tune import PlacementGroupFactory

    resources = search.experiment.resources
    if resources.workers_per_trial > 1:
        return PlacementGroupFactory([{"memory": 1}])  # no CPU: the workers may need every one
    each = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        each["GPU"] = resources.gpus_per_worker
    return PlacementGroupFactory([each])
