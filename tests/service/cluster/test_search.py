"""Searches on a real Ray, with a training that takes no time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import standin
from patience import wait_for
from standin import METRIC, SPACE, Notes, experiment, search_of

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from fusegpt.training.report import Report, Result
from service.cluster import ending
from service.cluster.losses import RESTARTS, read_losses
from service.cluster.tune import search
from service.events import Trial, best_of
from service.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two_cpus")]


def run(
    asked: Experiment, settings: Settings, name: str, train: Any = standin.train, **how: Any
) -> tuple[list[Trial], Notes]:
    notes = Notes()
    return search(search_of(settings.runs / name, asked), settings, [notes], run_trial=train, **how), notes


def test_every_trial_runs_once_and_trial_0_is_the_default_settings(module_settings: Settings) -> None:
    asked = experiment(trials=5)
    trials, notes = run(asked, module_settings, "all")
    assert [trial.id for trial in trials] == [f"trial_{number:05d}" for number in range(5)]
    assert trials[0].drawn == {key: asked.settings()[key] for key in SPACE}
    assert {trial.state for trial in trials} <= {"finished", "failed"}
    assert sorted(note[1] for note in notes.notes if note[0] == "trial_started") == [trial.id for trial in trials]
    assert sorted(note[1] for note in notes.notes if note[0] == "trial_ended") == [trial.id for trial in trials]
    assert (notes.notes[0][0], notes.notes[-1][0]) == ("search_started", "search_ended")
    assert not (module_settings.runs / "all" / "tune").exists(), "Tune's own files, which nobody reads, are gone"


def test_what_a_trial_reports_is_its_own_epochs_in_order(module_settings: Settings) -> None:
    trials, notes = run(experiment(trials=2, epochs=4), module_settings, "epochs")
    for trial in trials:
        assert [note[2] for note in notes.notes if note[:2] == ("trial_reported", trial.id)] == [1, 2, 3, 4]
        assert trial.best == pytest.approx(100.0 / trial.drawn["model.n_embd"] + 0.25)
        assert set(trial.metrics) == {METRIC, "train/loss"}


def test_bad_trials_are_stopped_early_and_the_best_is_not(module_settings: Settings) -> None:
    asked = experiment(trials=10, epochs=9, algorithm="asha", reduction_factor=3)
    trials, _ = run(asked, module_settings, "asha")
    stopped = [trial for trial in trials if trial.state == "stopped"]
    best = best_of(search_of(module_settings.runs / "asha", asked), trials)
    assert best is not None
    assert best.state == "finished"
    assert len(stopped) >= 3
    for trial in stopped:
        assert len((trial.folder / "epochs.txt").read_text().splitlines()) == trial.epoch < 9


def test_a_failing_trial_says_why_and_the_others_go_on(module_settings: Settings) -> None:
    asked = experiment(trials=3).override({"search.space": {"model.resid_pdrop": {"low": 0.46, "high": 0.5}}})
    trials, _ = run(asked, module_settings, "fails")
    assert [trial.state for trial in trials] == ["finished", "failed", "failed"]
    assert trials[1].error == "step 7: the loss is not a finite number"
    assert "TrainingError" in (trials[1].folder / "error.txt").read_text()


def test_a_metric_that_is_none_is_said_to_be_none(module_settings: Settings) -> None:
    asked = search_of(module_settings.runs / "metric", experiment(trials=1))
    other = type(asked)(asked.name, asked.experiment, asked.folder, "val/adem", "min")
    (trial,) = search(other, module_settings, [], run_trial=standin.train)
    assert (trial.state, METRIC in trial.error) == ("failed", True)


def die_once(
    asked: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    def report_and_die(told: Report) -> None:
        report(told)
        if told.epoch == 2 and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return standin.train(asked, folder, cache, report_and_die, should_stop)


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(module_settings: Settings) -> None:
    import test_search as this
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(this)
    trials, notes = run(experiment(trials=1, epochs=4), module_settings, "killed", die_once)
    assert [(trial.state, trial.epoch) for trial in trials] == [("finished", 4)]
    computed = [line.split() for line in (trials[0].folder / "epochs.txt").read_text().splitlines()]
    assert [epoch for epoch, _ in computed] == ["1", "2", "3", "4"]
    assert len({pid for _, pid in computed}) == 2
    assert [note[2] for note in notes.notes if note[0] == "trial_reported"] == [1, 2, 3, 4]


def die_after_every_epoch(
    asked: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    begun = standin.epoch_of(folder)

    def report_and_die(told: Report) -> None:
        report(told)
        if begun < told.epoch < told.epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    return standin.train(asked, folder, cache, report_and_die, should_stop)


def die_at_once(
    _asked: Experiment,
    folder: Path,
    _cache: Path,
    _report: Callable[[Report], None],
    _should_stop: Callable[[], bool],
) -> Result:
    with (folder.parent / "begun").open("a") as begun:
        begun.write(".")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def test_only_a_trial_that_is_lost_again_and_again_at_one_place_fails(module_settings: Settings) -> None:
    import test_search as this
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(this)
    epochs = RESTARTS + 3
    trials, notes = run(experiment(trials=1, epochs=epochs), module_settings, "unlucky", die_after_every_epoch)
    assert [(trial.state, trial.epoch, trial.error) for trial in trials] == [("finished", epochs, "")]
    assert [note[2] for note in notes.notes if note[0] == "trial_reported"] == list(range(1, epochs + 1))
    assert read_losses(trials[0].folder).in_all == epochs - 1 > RESTARTS
    trials, notes = run(experiment(trials=1), module_settings, "doomed", die_at_once)
    assert [trial.state for trial in trials] == ["failed"]
    assert trials[0].error.startswith("its process died 4 times in a row with no progress; the last time: ")
    assert (trials[0].folder.parent / "begun").read_text() == "." * (RESTARTS + 1)
    assert len([note for note in notes.notes if note[0] == "trial_ended"]) == 1


def test_a_budget_that_is_spent_keeps_the_best_so_far(
    module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AnHourLater(Notes):
        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            if len(self.notes) == 20:
                later = time.monotonic() + 3600
                monkeypatch.setattr(ending, "time", SimpleNamespace(monotonic=lambda: later))

    asked, notes = experiment(trials=200, epochs=40, budget={"hours": 1.0}), AnHourLater()
    trials = search(
        search_of(module_settings.runs / "budget", asked), module_settings, [notes], run_trial=standin.train
    )
    assert 2 <= len(trials) <= 4
    assert {trial.state for trial in trials} <= {"finished", "stopped", "failed"}
    assert max(trial.epoch for trial in trials) >= 5
    assert any(trial.best is not None for trial in trials)
    assert notes.notes[-1][0] == "search_ended"


def test_ctrl_c_keeps_every_trial_and_resume_ends_each_once(module_settings: Settings) -> None:
    class Impatient(Notes):
        reports = 0

        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            self.reports += 1  # not all notes: the fiftieth of those may be of another kind
            if self.reports == 45:
                os.kill(os.getpid(), signal.SIGINT)

    asked, impatient = experiment(trials=6, epochs=30), Impatient()
    with pytest.raises(KeyboardInterrupt):
        search(search_of(module_settings.runs / "ctrl c", asked), module_settings, [impatient], run_trial=standin.train)
    assert len(impatient.notes) < 100
    trials, notes = run(asked, module_settings, "ctrl c", resume=True)
    assert [trial.number for trial in trials] == list(range(6))
    for trial in trials:
        if trial.state == "finished":
            epochs = [line.split()[0] for line in (trial.folder / "epochs.txt").read_text().splitlines()]
            assert epochs == [str(epoch) for epoch in range(1, 31)], "nothing lost, nothing computed twice"
    again, _ = run(asked, module_settings, "ctrl c", resume=True)
    assert again == trials
    ended = [note[1] for note in notes.notes if note[0] == "trial_ended"]
    assert len(ended) == len(set(ended))


def test_a_name_that_is_taken_is_refused_and_one_that_was_never_used_cannot_be_resumed(
    module_settings: Settings,
) -> None:
    run(experiment(trials=1, epochs=1), module_settings, "taken")
    with pytest.raises(SettingError, match="resume"):
        run(experiment(trials=1, epochs=1), module_settings, "taken")
    with pytest.raises(SettingError, match="no search was started"):
        run(experiment(trials=1), module_settings, "never", resume=True)


def test_a_trial_that_can_never_fit_is_refused_before_anything_starts(module_settings: Settings) -> None:
    with pytest.raises(SettingError, match=r"resources\.cpus_per_worker"):
        run(experiment().override({"resources.cpus_per_worker": 64.0}), module_settings, "never fits")
    assert not (module_settings.runs / "never fits").exists()


def test_nothing_stays_reserved(module_settings: Settings) -> None:
    import ray
    from ray.util import placement_group_table

    run(experiment(trials=3, algorithm="asha"), module_settings, "reserved")
    wait_for(lambda: ray.available_resources().get("CPU") == 2.0)
    assert {group["state"] for group in placement_group_table().values()} <= {"REMOVED"}
