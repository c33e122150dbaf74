"""A search whose driver is killed in the middle, and what `resume` makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import standin
from standin import Notes, experiment, search_of

from service.cluster.local_ray import connect
from service.cluster.record import read_search, read_trials
from service.cluster.tune import search
from service.settings import Settings

DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import standin
from ray import cloudpickle
from service.cluster.local_ray import connect
from service.cluster.tune import search
from service.settings import Settings
cloudpickle.register_pickle_by_value(standin)
settings = Settings(home=Path(sys.argv[1]), tracking_uri="")
class Halts(standin.Notes):
    "Stands still, and the driver with it, once it has heard of so many epochs."
    def trial_reported(self, trial):
        super().trial_reported(trial)
        if len([note for note in self.notes if note[0] == "trial_reported"]) == int(sys.argv[3]):
            print("halted", flush=True)
            time.sleep(3600)
asked = standin.experiment(trials=8, epochs=10, algorithm="asha", reduction_factor=3)
with connect(settings, cpus=2):
    search(standin.search_of(settings.runs / "killed", asked), settings, [Halts()], run_trial=standin.train)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_no_trial_is_lost_or_doubled_when_the_driver_is_killed(tmp_path: Path) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(standin)
    settings = Settings(home=tmp_path / "a home", tracking_uri="")
    settings.cache.mkdir(parents=True)
    standin.epochs_take(settings.cache, 0.05)
    folder = settings.runs / "killed"
    _kill_after(settings, reports=12)
    before = {record.number: record for record in read_trials(search_of(folder, experiment()))}
    assert {"running"} <= {record.state for record in before.values()}, "some were in the middle"
    notes = Notes()
    with connect(settings, cpus=2):
        trials = search(read_search(folder), settings, [notes], resume=True, run_trial=standin.train)
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} <= {"finished", "stopped", "failed"}
    for trial in trials:
        ended = [note for note in notes.notes if note[:2] == ("trial_ended", trial.id)]
        was = before.get(trial.number)
        assert len(ended) == (0 if was is not None and was.state != "running" else 1)
        if was is not None:
            assert trial.drawn == was.drawn
        if trial.state != "failed":
            computed = [int(line.split()[0]) for line in (trial.folder / "epochs.txt").read_text().splitlines()]
            assert computed == list(range(1, len(computed) + 1)), "it went on from its checkpoint"


def _kill_after(settings: Settings, reports: int) -> None:
    """Start the search in a process of its own, kill that when it has heard of so many epochs, and wait until every
    process of its Ray has ended: until then its trials may still write."""
    command = [sys.executable, "-c", DRIVER, str(settings.home), str(Path(__file__).parent), str(reports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        assert driver.stdout is not None
        try:
            assert driver.stdout.readline() == "halted\n"
            with_it = psutil.Process(driver.pid).children(recursive=True)
        finally:
            driver.kill()
    _, left = psutil.wait_procs(with_it, timeout=60)
    assert left == []
