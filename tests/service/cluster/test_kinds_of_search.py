"""Every algorithm, with one worker and with two, unbroken and resumed, on a real Ray; the training takes no time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import standin
from standin import METRIC, Notes, experiment, search_of

from fusegpt.experiment import Experiment
from fusegpt.training.report import Report, Result
from service.cluster.record import TrialRecord, read_spent, read_trials, trial_folder, write_search, write_trial
from service.cluster.tune import search
from service.events import Trial
from service.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_of_two_cpus")]

DROPOUTS = {"model.resid_pdrop": {"low": 0.0, "high": 0.4}, "model.attn_pdrop": {"low": 0.0, "high": 0.4}}
ALGORITHMS = ["random", "asha", "tpe", "bohb", "pbt"]


def asked_for(algorithm: str, workers: int, **search: Any) -> Experiment:
    """A trial of several workers runs in one process here: what differs is how Tune and the search place it."""
    how: dict[str, Any] = {"trials": 5, "epochs": 4, "reduction_factor": 2, **search}
    if algorithm == "pbt":
        how["space"] = DROPOUTS
    return experiment(workers=workers, algorithm=algorithm, **how)


class Impatient(Notes):
    """Presses ctrl-C after so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._left = epochs

    def trial_reported(self, trial: Trial) -> None:
        super().trial_reported(trial)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_ends_each_trial_once_also_after_an_interruption(
    module_settings: Settings, algorithm: str, workers: int
) -> None:
    asked = search_of(module_settings.runs / f"{algorithm} {workers}", asked_for(algorithm, workers))
    impatient, notes = Impatient(7), Notes()
    with pytest.raises(KeyboardInterrupt):
        search(asked, module_settings, [impatient], run_trial=standin.train)
    trials = search(asked, module_settings, [notes], resume=True, run_trial=standin.train)
    assert [trial.number for trial in trials] == list(range(5))
    assert {trial.state for trial in trials} <= {"finished", "stopped", "failed"}
    assert sum(trial.state == "finished" for trial in trials) >= 1
    ended = [note[1] for note in [*impatient.notes, *notes.notes] if note[0] == "trial_ended"]
    assert sorted(ended) == [trial.id for trial in trials]
    for record in read_trials(asked):
        if record.state == "finished":
            assert sorted(record.values) == [1, 2, 3, 4]


def test_an_epoch_whose_word_was_lost_is_told_by_the_process_that_goes_on(module_settings: Settings) -> None:
    asked = search_of(module_settings.runs / "lost word", asked_for("random", 1, trials=1))
    write_search(asked)
    write_trial(asked, TrialRecord(number=0, drawn={"model.n_embd": 64}, state="running", values={1: 3.0}))
    standin.keep(trial_folder(asked, 0), 2)  # a checkpoint of the second epoch
    search(asked, module_settings, [], resume=True, run_trial=standin.train)
    (record,) = read_trials(asked)
    assert (record.state, sorted(record.values)) == ("finished", [1, 2, 3, 4])


def improves(
    asked: Experiment, folder: Path, cache: Path, report: Callable[[Report], None], should_stop: Callable[[], bool]
) -> Result:
    """A figure that falls with each epoch, faster with less dropout; what was reached is in the checkpoint."""

    begun = standin.epoch_of(folder)

    def told(one: Report) -> None:
        state = folder / "checkpoint" / "reached.txt"
        before = float(state.read_text()) if state.exists() else 10.0
        further = 1.0 - 2 * float(asked.settings()["model.resid_pdrop"]) if one.epoch > begun else 0.0
        reached = before - further
        state.write_text(str(reached))
        report(Report(one.epoch, one.epochs, one.step, one.steps, {METRIC: reached}, one.checkpoint))

    return standin.train(asked, folder, cache, told, should_stop)


def register() -> None:
    import test_kinds_of_search as this
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(this)


def test_a_population_larger_than_the_cluster_exchanges_what_it_has_learnt(module_settings: Settings) -> None:
    register()
    asked = search_of(module_settings.runs / "population", asked_for("pbt", 1, epochs=3))
    notes = Notes()
    trials = search(asked, module_settings, [notes], run_trial=improves)
    assert [trial.state for trial in trials] == ["finished"] * 5
    exchanged = [trial for trial in trials if trial.exchanges]
    assert [len(trial.exchanges) for trial in exchanged] in ([1, 1], [2])
    for trial in trials:
        assert [note[2] for note in notes.notes if note[:2] == ("trial_reported", trial.id)] == [1, 2, 3]
        assert len([note for note in notes.notes if note[:2] == ("trial_started", trial.id)]) == 1
    for trial in exchanged:
        taken = trial.exchanges[-1]
        after = {r.number: r for r in read_trials(asked)}[trial.number].values
        assert after[taken["epoch"]] < taken["value"]
        assert trial.drawn == taken["drawn"]


def slow(asked: Experiment) -> float:
    """In place of a measurement: a width of 64 takes 16 ms."""
    return float(asked.settings()["model.n_embd"]) / 4


def test_a_model_that_is_too_slow_ends_before_it_trains_and_the_front_is_kept(module_settings: Settings) -> None:
    register()
    asked = experiment(
        trials=6, epochs=2, objectives=["latency_ms"], constraints={"latency_ms": {"max": 40}},
        space={"model.n_embd": {"low": 64, "high": 256, "step": 32}},
    )  # fmt: skip
    told = search_of(module_settings.runs / "front", asked)
    trials = search(told, module_settings, [], run_trial=standin.train, measure=slow)
    wide = [trial for trial in trials if trial.drawn["model.n_embd"] > 160]
    assert wide, "some were too slow"
    for trial in trials:
        width = trial.drawn["model.n_embd"]
        assert trial.metrics["latency_ms"] == width / 4
        assert (trial.error == f"infeasible: latency_ms {width / 4:.4g} > 40") == (trial in wide)
        assert (trial.folder / "epochs.txt").exists() == (trial not in wide)
    kept = (told.folder / "pareto.json").read_text()
    assert all((trial.id in kept) == (trial not in wide) for trial in trials), "smaller is faster, larger is better"


def test_a_search_is_extended_as_if_it_had_been_that_long_from_the_start(module_settings: Settings) -> None:
    short, long = (experiment(trials=trials, epochs=1) for trials in (3, 6))
    folder = module_settings.runs / "extended"
    search(search_of(folder, short), module_settings, [], run_trial=standin.train)
    before = read_spent(folder).seconds
    trials = search(search_of(folder, long), module_settings, [], resume=True, run_trial=standin.train)
    whole = search(search_of(module_settings.runs / "whole", long), module_settings, [], run_trial=standin.train)
    assert [trial.drawn for trial in trials] == [trial.drawn for trial in whole]
    assert read_spent(folder).seconds > before > 0


def test_a_space_without_a_model_that_is_small_enough_is_said_to_be_so(module_settings: Settings) -> None:
    from fusegpt.config import SettingError

    asked = experiment(trials=2, epochs=1, constraints={"parameters": {"max": 10}}, space={"model.n_head": [1, 2]})
    notes = Notes()
    with pytest.raises(SettingError, match=r"search\.constraints\.parameters\.max"):
        search(search_of(module_settings.runs / "none", asked), module_settings, [notes], run_trial=standin.train)
    assert notes.notes[-1] == ("search_ended", "none", 1)
    (only,) = read_trials(search_of(module_settings.runs / "none", asked))
    assert only.error.startswith("infeasible: parameters ")
