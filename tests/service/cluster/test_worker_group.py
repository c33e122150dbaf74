"""Trials of several workers, on a real Ray, with a second Ray on the host and the real training."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from real_trials import free_again, tiny
from standin import METRIC, Notes, search_of

from fusegpt.search_space import Choice
from fusegpt.training.report import Report
from service.cluster import elastic, local_ray
from service.cluster.local_ray import connect
from service.cluster.notes import cancel
from service.cluster.train import run_trial
from service.cluster.tune import search
from service.events import Trial
from service.settings import Settings

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # each trial begins processes with PyTorch and Ray: slow where the machine is busy
    pytest.mark.filterwarnings("ignore:`.*is deprecated"),  # Ray Data, of its own settings
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Connected to a Ray of our own with two CPUs, while another one runs on the host."""
    settings = Settings(home=tmp_path_factory.mktemp("a home"), tracking_uri="")
    with local_ray._environment({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "o" * 40}):
        other = local_ray._head(serve=False, dashboard=True, cpus=1)
        other.__enter__()
    try:
        with connect(settings, dashboard=True, cpus=2):
            yield settings
    finally:
        other.__exit__(None, None, None)


def test_two_workers_reach_the_numbers_of_one(settings: Settings) -> None:
    told: list[Report] = []
    alone = run_trial(tiny(1), settings.runs / "alone", settings.cache)
    together = run_trial(tiny(2), settings.runs / "together", settings.cache, told.append)
    assert [report.epoch for report in told] == [1, 2]
    assert together.metrics[METRIC] == pytest.approx(alone.metrics[METRIC], rel=1e-3)
    assert (together.best / "model.safetensors").exists()
    assert free_again()


def test_a_trial_that_may_shrink_trains_with_what_there_is_place_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.util import placement_group, remove_placement_group

    monkeypatch.setattr(elastic, "GRACE_SECONDS", 0.0)
    elsewhere = placement_group([{"CPU": 1}])
    ray.get(elsewhere.ready())
    try:
        shrunk = run_trial(tiny(2).override({"resources.min_workers": 1}), settings.runs / "shrunk", settings.cache)
    finally:
        remove_placement_group(elsewhere)
    assert shrunk.epoch == 2
    assert free_again()


def test_stopped_trials_let_go_of_every_cpu(settings: Settings) -> None:
    space = {"training.lr": Choice(values=(1e-8, 2e-8))}
    asked = tiny(2, epochs=4, space=space, trials=3, algorithm="asha", reduction_factor=2)
    notes = Notes()
    trials = search(search_of(settings.runs / "stopped", asked), settings, [notes])
    assert [trial.error for trial in trials] == ["", "", ""]
    assert [trial.state for trial in trials] == ["finished", "stopped", "stopped"]
    assert {trial.epoch for trial in trials[1:]} == {1}
    assert free_again()


def test_a_worker_that_is_killed_is_replaced_and_a_stop_reaches_them_all(settings: Settings) -> None:
    told: list[int] = []

    def report(one: Report) -> None:
        if not told:
            os.kill(_a_worker(), signal.SIGKILL)
        told.append(one.epoch)

    result = run_trial(
        tiny(2, epochs=200), settings.runs / "killed", settings.cache, report, should_stop=lambda: 3 in told
    )
    assert result.stopped
    assert 3 in told
    assert told.count(3) == 1
    assert free_again()


def test_a_cancelled_trial_of_two_workers_gives_its_cpus_to_the_next(settings: Settings) -> None:
    class Cancels(Notes):
        def trial_reported(self, trial: Trial) -> None:
            super().trial_reported(trial)
            if trial.number == 0:
                cancel(trial.folder)

    asked = tiny(2, epochs=60, trials=2, algorithm="random", space={"training.lr": Choice(values=(1e-4, 2e-4))})
    told = Cancels()
    cancel(settings.runs / "cancelled" / "trial_00001")
    trials = search(search_of(settings.runs / "cancelled", asked), settings, [told])
    assert [trial.state for trial in trials] == ["cancelled", "cancelled"]
    assert 1 <= trials[0].epoch < 60
    assert trials[1].epoch == 0
    assert (trials[0].folder / "checkpoint" / "model.safetensors").exists()
    assert free_again()


def _a_worker() -> int:
    """A process of a Ray Train worker of our own Ray, by the name that Ray gives it."""
    for process in psutil.Process().children(recursive=True):
        with suppress(OSError):  # it has ended since
            if b"ray::RayTrainWorker" in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                return process.pid
    raise AssertionError("no worker runs")
