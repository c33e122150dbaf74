"""A job's process with a search that takes no time: FUSEGPT_TEST_SEARCH says how it behaves.

Each trial takes some epochs, keeps its place in a file, and stops where it is interrupted: what the real one promises.
"""

from __future__ import annotations

import os
import sys
import time

from service.errors import ClusterUnreachable
from service.events import Observer, Search, Trial, best_of
from service.jobs.worker import main
from service.run import Outcome
from service.settings import Settings

EPOCHS = 3


def tune(search: Search, _settings: Settings, observers: list[Observer], resume: bool) -> Outcome:
    how = os.environ.get("FUSEGPT_TEST_SEARCH", "")
    if how == "unreachable":
        raise ClusterUnreachable("RAY_ADDRESS: nothing answers")
    if how == "bug":
        raise ZeroDivisionError("division by zero")
    if how == "deaf":
        _deaf()
    sys.stdout.write(f"searching {search.name}, resume={resume}\n")
    search.folder.mkdir(parents=True, exist_ok=resume)
    for observer in observers:
        observer.search_started(search)
    trials = [_train(search, number, observers, how) for number in range(2)]
    for observer in observers:
        observer.search_ended(search, trials)
    return Outcome(search, trials, best_of(search, trials))


def _train(search: Search, number: int, observers: list[Observer], how: str) -> Trial:
    trial = Trial(f"trial_{number:05d}", number, {"model.n_head": 2 + number}, search.folder / f"trial_{number:05d}")
    trial.folder.mkdir(exist_ok=True)
    kept = trial.folder / "epoch"
    trial.epoch = int(kept.read_text()) if kept.exists() else 0
    for observer in observers:
        observer.trial_started(trial)
    while trial.epoch < EPOCHS and how != "nan":
        time.sleep(0.02 if not how else 0.2)
        trial.epoch += 1
        kept.write_text(str(trial.epoch))
        trial.metrics = {search.metric: 1.0 / trial.epoch + number}
        trial.best = trial.metrics[search.metric]
        for observer in observers:
            observer.trial_reported(trial)
        if how == "endless":
            trial.epoch = 0
    trial.state, trial.error = (
        ("failed", "step 7: the loss is not a finite number") if how == "nan" else ("finished", "")
    )
    for observer in observers:
        observer.trial_ended(trial)
    return trial


def _deaf() -> None:
    """Hears no word to stop."""
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], tune))
