"""One trial of a search is cancelled, on a real Ray: it keeps its state, and the others go on."""

from __future__ import annotations

import pytest
import standin
from standin import Notes, experiment, search_of

from service.cluster import ending, notes, watcher
from service.cluster.record import read_trials, trial_folder
from service.cluster.tune import search
from service.events import Trial
from service.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_of_two_cpus")]


def test_a_cancelled_trial_keeps_its_state_and_its_place_goes_to_the_next(
    module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "PATIENCE_SECONDS", 3600.0)  # it lets go by itself: nobody has to lose patience
    monkeypatch.setattr(watcher, "RELEASE_SECONDS", 3600.0)
    asked = search_of(module_settings.runs / "cancelled", experiment(trials=4, epochs=60))

    class Cancels(Notes):
        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            if (trial.number, trial.epoch) == (0, 3):
                notes.cancel(trial.folder)

    notes.cancel(trial_folder(asked, 3))
    told = Cancels()
    trials = search(asked, module_settings, [told], run_trial=standin.train)
    assert [trial.state for trial in trials if trial.number in (0, 3)] == ["cancelled", "cancelled"]
    assert {trial.state for trial in trials[1:3]} <= {"finished", "failed"}
    assert 3 <= trials[0].epoch < 60
    assert trials[0].best is not None
    assert (trials[0].folder / "checkpoint" / "progress.json").exists(), "what it came to is kept"
    assert not (trials[3].folder / "epochs.txt").exists(), "one that had not begun never trains"
    assert trials[3].epoch == 0
    assert [record.state for record in read_trials(asked)] == [trial.state for trial in trials]
    assert sorted(note[1] for note in told.notes if note[0] == "trial_ended") == [trial.id for trial in trials]
    again = search(asked, module_settings, [], resume=True, run_trial=standin.train)
    assert again == trials, "a search that is taken up again leaves it so"


def test_a_population_goes_on_without_the_one_that_was_cancelled(module_settings: Settings) -> None:
    space = {"model.resid_pdrop": {"low": 0.0, "high": 0.4}}
    asked = search_of(
        module_settings.runs / "population",
        experiment(trials=4, epochs=6, algorithm="pbt", space=space, grace_epochs=2),
    )

    class Cancels(Notes):
        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            if (trial.number, trial.epoch) == (1, 2):  # it rests now, until all have come so far
                notes.cancel(trial.folder)

    trials = search(asked, module_settings, [Cancels()], run_trial=standin.train)
    assert [trial.state for trial in trials] == ["finished", "cancelled", "finished", "finished"]
    assert trials[1].epoch < 6
    assert [trial.epoch for trial in trials if trial.number != 1] == [6, 6, 6]
