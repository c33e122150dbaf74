"""A real search through a real server: submitted, followed over the death of the server, and at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from free_port import free_port

SERVE = "from service.api.server import serve; from service.settings import Settings; serve(Settings.read())"
SPEC = {
    "experiment": "fusion_waypoints",
    "data": {"source": "world", "n_drives": 3, "seconds_per_drive": 6, "lidar_rings": 8, "lidar_azimuths": 120},
    "set": {
        "training.epochs": 2,
        "training.batch_size": 4,
        "model.image_encoder": "resnet18",
        "model.lidar_encoder": "resnet18",
        "model.stages": [4],
        "model.n_layer": 1,
    },
    "search": {"space": {"model.n_head": [1, 2]}, "algorithm": "random", "trials": 2},
    "resources": {"concurrent_trials": 1},
}


@contextmanager
def server(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "FUSEGPT_HOME": str(home), "FUSEGPT_API_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answer(client: httpx2.Client, path: str) -> dict[str, object]:
    """What the server says, once it stands."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return dict(client.get(path).raise_for_status().json())
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)  # two searches, each with a Ray and a training of its own: slow where the machine is busy
def test_a_search_survives_the_death_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        with server(tmp_path, port) as first:
            answer(client, "/healthz")
            job = client.post("/v1/jobs", json={"spec": SPEC}).raise_for_status().json()["id"]
            while (state := answer(client, f"/v1/jobs/{job}")["state"]) in ("queued", "starting"):
                time.sleep(0.3)
            assert state == "running"
            first.send_signal(signal.SIGKILL)
        with server(tmp_path, port):
            answer(client, "/healthz")
            with client.stream("GET", f"/v1/jobs/{job}/events", timeout=600) as stream:
                told = [line for line in stream.iter_lines() if line.startswith("event:")]
            ended = answer(client, f"/v1/jobs/{job}")
            trials = client.get(f"/v1/jobs/{job}/trials").json()
            log = client.get(f"/v1/jobs/{job}/logs").text
            extended = client.post(f"/v1/jobs/{job}/resume", json={"budget": {"trials": 3}}).raise_for_status().json()
            while answer(client, f"/v1/jobs/{job}")["state"] not in ("succeeded", "failed"):
                time.sleep(0.3)
            more = client.get(f"/v1/jobs/{job}/trials").json()
            progress = answer(client, f"/v1/jobs/{job}/progress")
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1), f"{ended['reason']}\n{log}"
    assert [trial["state"] for trial in trials] == ["finished"] * 2
    assert told.count("event: trial_reported") == 4
    assert told[-1] == "event: end"
    assert isinstance(ended["result"], dict)
    assert ended["result"]["version"] == 1
    assert (extended["state"], extended["ended"]) == ("queued", None)
    assert [trial["state"] for trial in more] == ["finished"] * 3
    assert more[:2] == trials, "what had ended stays as it was"
    assert (progress["planned"], progress["states"]) == (3, {"finished": 3})
