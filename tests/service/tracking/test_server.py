"""A real MLflow server that is down when a search begins and up before it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from free_port import free_port
from safetensors.numpy import save_file

from service.events import Search, Trial
from service.registry import Registry
from service.settings import Settings
from service.tracking import History, Tracker
from service.tracking import tracker as tracker_module

pytestmark = pytest.mark.slow


@contextmanager
def server(settings: Settings, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.tracking_uri, "--default-artifact-root", "mlflow-artifacts:/"]
    command += ["--artifacts-destination", (settings.home / "server artifacts").as_uri()]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(60)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError("the server did not start")


def model(trial: Trial) -> Path:
    folder = trial.folder / "best"
    folder.mkdir()
    (folder / "experiment.json").write_text("{}")
    save_file({"weight": np.ones(3, np.float32)}, folder / "model.safetensors")
    return folder


def test_a_server_that_comes_up_late_gets_the_whole_search_with_its_pictures(
    settings: Settings, search: Search, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "WAIT_AWAY_S", 60.0)
    port = free_port()
    remote = settings.model_copy(update={"tracking_uri": f"http://127.0.0.1:{port}"})
    (trial.folder / "pictures").mkdir(parents=True)
    (trial.folder / "pictures" / "curve.png").write_bytes(b"\x89PNG")
    tracker = Tracker(remote)
    tracker.search_started(search)
    tracker.trial_started(trial)
    trial.epoch, trial.metrics, trial.best = 1, {"val/ade_m": 0.5}, 0.5
    tracker.trial_reported(trial)
    with server(settings, port):
        trial.state = "finished"
        tracker.trial_ended(trial)
        tracker.search_ended(search, [trial])
        history = History(remote)
        (row,) = history.trials("night")
        assert history.curve(row, "val/ade_m") == [(1, 0.5)]
        assert history.find("night").state == "finished"
        assert tracker.run_id(trial) == row.run_id
        registry = Registry(remote)
        assert registry.champion("fusion_waypoints") is None
        version = registry.register("fusion_waypoints", model(trial), row.run_id, {})
        fetched = registry.download(registry.version("fusion_waypoints", version.number))
        assert (fetched / "model.safetensors").read_bytes() == (trial.folder / "best/model.safetensors").read_bytes()
    assert list((settings.home / "server artifacts").rglob("curve.png"))
