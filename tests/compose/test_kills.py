"""A search outlives what happens to a cluster: each loss ends with every trial accounted for exactly once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from books import check_books, on_disk
from laptop import Laptop, wait_for
from stack import Stack
from tiny_spec import spec

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

TRIALS, EPOCHS = 3, 6
STARTS_S, ENDS_S = 150.0, 240.0


def test_the_laptop_and_the_api_may_go(stack: Stack, laptop: Laptop, token: str) -> None:
    """The job is the cluster's: who submitted it and who took it are not needed."""
    name = "without-laptop-and-api"
    away = Laptop(stack.network.add("away"), token)
    with away.starts("submit", "--follow", spec(away, name, trials=TRIALS, epochs=EPOCHS)) as following:
        wait_until_it_trains(stack, name)
        assert following.poll() is None
        stack.network.remove("away")
    stack.kill("api")
    before = epochs_of(stack, name)
    wait_for(lambda: epochs_of(stack, name) > before, ENDS_S, f"{name} goes on without the API")
    stack.start("api")
    stack.wait_healthy("api")
    check_the_end(stack, laptop, name)
    assert laptop.job(name)["attempts"] == 1


def test_mlflow_may_be_away(stack: Stack, laptop: Laptop) -> None:
    """What MLflow is to be told waits on disk."""
    name = "without-mlflow"
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS))
    wait_until_it_trains(stack, name)
    stack.kill("mlflow")
    before = epochs_of(stack, name)
    wait_for(lambda: epochs_of(stack, name) >= before + 2, ENDS_S, f"{name} goes on without MLflow")
    stack.start("mlflow")
    check_the_end(stack, laptop, name)


def test_the_store_may_be_away(stack: Stack, laptop: Laptop) -> None:
    """Nobody can ask meanwhile, and that is said; the search does not ask."""
    name = "without-its-store"
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS))
    wait_until_it_trains(stack, name)
    stack.kill("postgres")
    before = epochs_of(stack, name)
    laptop.fusegpt("status", name, code=5)
    wait_for(lambda: epochs_of(stack, name) > before, ENDS_S, f"{name} goes on without its store")
    stack.start("postgres")
    stack.wait_healthy("postgres")
    check_the_end(stack, laptop, name)


def test_a_worker_host_may_go_and_come_back(stack: Stack, laptop: Laptop) -> None:
    """Its trials go on from their checkpoints elsewhere."""
    name = "without-a-host"
    host = stack.names("ray-worker-cpu")[-1]
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS))
    wait_until_it_trains(stack, name, at_once=2)
    assert [record["state"] for record in on_disk(stack, name)] == ["running", "running"]  # one trial a host
    stack.kill(host)
    before = epochs_of(stack, name)
    wait_for(lambda: epochs_of(stack, name) > before, ENDS_S, f"{name} goes on without {host}")
    stack.start("ray-worker-cpu", host)
    check_the_end(stack, laptop, name)
    stack.wait_healthy("ray-worker-cpu")


def test_the_driver_may_go(stack: Stack, laptop: Laptop) -> None:
    """The next attempt takes the search up where it was."""
    name = "without-its-driver"
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS))
    wait_until_it_trains(stack, name)
    assert kill_driver(stack, laptop.job(name)["id"]) == 1
    check_the_end(stack, laptop, name)
    job = laptop.job(name)
    assert (job["attempts"], job["retries"]) == (2, 1)


def test_the_head_may_go_and_come_back(stack: Stack, laptop: Laptop) -> None:
    """The cluster is lost with it: its workers end, join the new one, and the job is tried again there."""
    name = "without-the-head"
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS))
    wait_until_it_trains(stack, name)
    stack.kill("ray-head")
    stack.start("ray-head")
    wait_for(lambda: not any(stack.is_up(host) for host in stack.names("ray-worker-cpu")), 120, "the workers end")
    stack.wait_healthy("ray-worker-cpu")
    check_the_end(stack, laptop, name)
    assert laptop.job(name)["attempts"] == 2


def wait_until_it_trains(stack: Stack, name: str, at_once: int = 1) -> None:
    """Until so many of its trials have begun, and one has reported."""
    wait_for(lambda: epochs_of(stack, name) and len(on_disk(stack, name)) >= at_once, STARTS_S, f"{name} trains")


def epochs_of(stack: Stack, name: str) -> int:
    """The epochs that all its trials have reported."""
    return sum(len(record["values"]) for record in on_disk(stack, name))


def check_the_end(stack: Stack, laptop: Laptop, name: str) -> None:
    """Follow the job to its end, and look at what is left of it."""
    laptop.fusegpt("logs", "-f", name, timeout_s=ENDS_S)
    check_books(stack, laptop, name, TRIALS, EPOCHS)


def kill_driver(stack: Stack, job: str) -> int:
    """Kill -9 the process of a job on the head. How many there were."""
    killed = 0
    for pid in stack.hosts["ray-head"].pids():
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"service.jobs.worker" in command and job.encode() in command:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
