"""A search whose cluster has lost the place for its trials ends with what they lack, and its trials go on later."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import standin
from standin import Notes, experiment, search_of

from fusegpt.experiment import Budget, Resources
from fusegpt.training.report import Result
from service.cluster import outage, worker_group
from service.cluster.capacity import NoPlaceError
from service.cluster.ending import Ending
from service.cluster.notes import told_to_stop
from service.cluster.outage import GRACE_SECONDS, LOOK_SECONDS, Outage, outage_of
from service.cluster.tune import search
from service.cluster.worker_group import LostWorkersError
from service.events import Trial
from service.jobs.retry import failure_of
from service.settings import Settings

LACK = "needs 2 GPU a worker; the largest host that is up has 1"


class Cluster:
    """A cluster and a clock that go as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time, self.gpus = 1000.0, 2.0
        monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=lambda: self.time))
        self.outage = Outage(Resources(gpus_per_worker=2), lambda: [{"CPU": 8.0, "GPU": self.gpus}])

    def told(self, gpus: float, seconds: float) -> str:
        self.gpus = gpus
        self.time += LOOK_SECONDS
        self.outage()
        self.time += seconds
        return self.outage()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_only_what_is_lacking_for_long_is_told(cluster: Cluster) -> None:
    assert cluster.told(2.0, 1000.0) == ""
    assert cluster.told(1.0, GRACE_SECONDS - LOOK_SECONDS) == ""
    assert cluster.told(1.0, LOOK_SECONDS) == LACK


def test_a_host_that_comes_back_in_time_is_none(cluster: Cluster) -> None:
    assert cluster.told(1.0, GRACE_SECONDS - LOOK_SECONDS) == ""
    assert cluster.told(2.0, LOOK_SECONDS) == ""
    assert cluster.told(1.0, GRACE_SECONDS - LOOK_SECONDS) == ""


def test_where_jobs_wait_for_ever_their_trials_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outage, "__call__", lambda _: LACK)
    asked, patient = search_of(Path("night"), experiment()), Settings.read({"FUSEGPT_PLACEMENT_PATIENCE_MINUTES": "0"})
    assert outage_of(asked, patient)() == ""
    assert outage_of(asked, Settings.read({}))() == LACK


def test_the_trials_are_told_to_stop_and_whoever_asked_is_told_why(tmp_path: Path) -> None:
    ending = Ending(tmp_path, Budget(), outage=lambda: LACK)
    assert ending.due()
    assert told_to_stop(tmp_path)()
    assert not ending.stop_all(), "the trials have time to keep their state"
    assert ending.spent.ended == "", "it has not ended: it goes on"
    with pytest.raises(NoPlaceError, match=LACK) as told:
        ending.raise_if_cut_short()
    assert failure_of(told.value).kind == "place", "the job is queued again"


def test_workers_that_are_lost_when_they_are_told_to_stop_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(*_: object) -> Result:
        raise LostWorkersError("the workers could not be started")

    monkeypatch.setattr(worker_group, "_attempt", attempt)
    monkeypatch.setattr(worker_group, "release_orphans", lambda: 0)
    asked = experiment(workers=2)
    assert worker_group._replacing_the_lost(asked, tmp_path, tmp_path, lambda _: None, lambda: True).stopped


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two_cpus")
def test_a_search_without_a_place_ends_and_its_trials_go_on_when_it_is_back(
    module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loses(Notes):
        """The place is lost when the first epoch is told."""

        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            monkeypatch.setattr(Outage, "__call__", lambda _: LACK)

    asked, told = search_of(module_settings.runs / "outage", experiment(trials=2, epochs=30)), Loses()
    with pytest.raises(NoPlaceError, match=LACK):
        search(asked, module_settings, [told], run_trial=standin.train)
    assert [note for note in told.notes if note[0] == "trial_ended"] == []
    monkeypatch.undo()
    trials = search(asked, module_settings, [], resume=True, run_trial=standin.train)
    assert [(trial.state, trial.epoch) for trial in trials if trial.state != "failed"] == [("finished", 30)] * 2
