"""A search whose driver is killed in the middle, and what `resume` makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import standin
from standin import Notes, experiment, search_of

from service.cluster.local_ray import connect
from service.cluster.record import read_search, read_trials
from service.cluster.tune import search
from service.settings import Settings

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import standin
from ray import cloudpickle
from service.cluster.local_ray import connect
from service.cluster.tune import search
from service.settings import Settings
cloudpickle.register_pickle_by_value(standin)
settings = Settings(home=Path(sys.argv[1]), tracking_uri="")
asked = standin.experiment(trials=8, epochs=10, algorithm="asha", reduction_factor=3)
with connect(settings, cpus=2):
    search(standin.search_of(settings.runs / "killed", asked), settings, [], run_trial=standin.train)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_no_trial_is_lost_or_doubled_when_the_driver_is_killed(tmp_path: Path) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(standin)
    settings = Settings(home=tmp_path / "a home", tracking_uri="")
    settings.cache.mkdir(parents=True)
    standin.epochs_take(settings.cache, 0.15)
    folder = settings.runs / "killed"
    _kill_after(settings, folder, reports=12)
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


def _kill_after(settings: Settings, folder: Path, reports: int) -> None:
    """Start the search in a process of its own, and kill that when it has computed so many epochs."""
    here = str(Path(__file__).parent)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(settings.home), here], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while sum(len(log.read_text().splitlines()) for log in folder.glob("*/epochs.txt")) < reports:
            assert time.monotonic() < deadline
            assert driver.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    time.sleep(2.0)  # the trials' processes end with their Ray; until then they may still write
