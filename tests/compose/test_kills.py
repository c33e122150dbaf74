"""A search outlives what happens to a cluster: each loss ends with every trial accounted for exactly once."""

from __future__ import annotations

import pytest

from benchmarks._cluster.books import findings, on_disk
from benchmarks._cluster.kills import kill_driver
from benchmarks._cluster.laptop import Laptop, wait_for
from benchmarks._cluster.stack import Stack
from benchmarks._cluster.team import WORKERS
from benchmarks._cluster.tiny_spec import spec

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

TRIALS, EPOCHS = 3, 8
STARTS_S, ENDS_S = 600.0, 900.0


def test_whoever_only_looks_on_may_go(stack: Stack, laptop: Laptop, token: str) -> None:
    """The job is the cluster's: who submitted it, took it, keeps it and tracks it are not needed while it runs."""
    name = "looked-after-by-nobody"
    away = Laptop(stack.network.add("away"), token)
    with away.starts("submit", spec(away, name, trials=TRIALS, epochs=EPOCHS), "--quiet", "--follow") as following:
        wait_until_it_trains(stack, name)
        assert following.poll() is None
        stack.network.remove("away")
    stack.kill("mlflow")
    stack.kill("postgres")
    laptop.fusegpt("status", name, code=5)
    stack.kill("api")
    wait_until_it_goes_on(stack, name)
    for service in ("postgres", "mlflow", "api"):
        stack.start(service)
    for service in ("postgres", "api"):
        stack.wait_healthy(service)
    check_the_end(stack, laptop, name, TRIALS)


def test_a_worker_host_may_go_and_the_driver_after_it(stack: Stack, laptop: Laptop) -> None:
    """A host's trials go on from their checkpoints elsewhere; the driver's next attempt takes up the search."""
    name = "without-a-host"
    host = stack.names(WORKERS)[-1]
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS), "--quiet")
    wait_until_it_trains(stack, name, at_once=2)
    assert [record["state"] for record in on_disk(stack, name)] == ["running", "running"]  # one trial a host
    stack.kill(host)
    wait_until_it_goes_on(stack, name)
    job = laptop.job(name)
    assert job["attempts"] == 1
    stack.start(WORKERS, host)
    assert kill_driver(stack, job["id"]) == 1
    check_the_end(stack, laptop, name, TRIALS)
    job = laptop.job(name)
    assert (job["attempts"], job["retries"]) == (2, 1)
    stack.wait_healthy(WORKERS)


def test_a_host_may_go_under_a_trial_that_is_spread_over_two(stack: Stack, laptop: Laptop) -> None:
    """What is left of the trial's workers ends, and all go on from the last checkpoint when the host is back."""
    name = "spread-over-two"
    host = stack.names(WORKERS)[0]
    laptop.fusegpt("submit", spec(laptop, name, trials=1, epochs=EPOCHS, workers=2), "--quiet")
    wait_until_it_trains(stack, name)
    stack.kill(host)
    assert epochs_of(stack, name) < EPOCHS
    stack.start(WORKERS, host)
    stack.wait_healthy(WORKERS)  # and started again, should its start fail
    check_the_end(stack, laptop, name, 1)
    assert laptop.job(name)["attempts"] == 1


def test_the_head_may_go_and_come_back(stack: Stack, laptop: Laptop) -> None:
    """The cluster is lost with it: its workers end, join the new one, and the job is tried again there."""
    name = "without-the-head"
    laptop.fusegpt("submit", spec(laptop, name, trials=TRIALS, epochs=EPOCHS), "--quiet")
    wait_until_it_trains(stack, name)
    stack.kill("ray-head")
    stack.start("ray-head")
    wait_for(lambda: not any(stack.is_up(host) for host in stack.names(WORKERS)), STARTS_S, "the workers end")
    stack.wait_healthy(WORKERS)
    check_the_end(stack, laptop, name, TRIALS)
    assert laptop.job(name)["attempts"] == 2


def wait_until_it_trains(stack: Stack, name: str, at_once: int = 1) -> None:
    """Until so many of its trials have begun, and one has reported."""
    wait_for(lambda: epochs_of(stack, name) and len(on_disk(stack, name)) >= at_once, STARTS_S, f"{name} trains")


def wait_until_it_goes_on(stack: Stack, name: str) -> None:
    """Until more is reported than may have been on its way."""
    before = epochs_of(stack, name)
    wait_for(lambda: epochs_of(stack, name) > before + 1, ENDS_S, f"{name} goes on")


def epochs_of(stack: Stack, name: str) -> int:
    """The epochs that all its trials have reported."""
    return sum(len(record["values"]) for record in on_disk(stack, name))


def check_the_end(stack: Stack, laptop: Laptop, name: str, trials: int, epochs: int = EPOCHS) -> None:
    """Follow the job to its end, and look at what is left of it."""
    laptop.fusegpt("logs", "-f", name, timeout_s=ENDS_S)
    assert not findings(stack, laptop, name, trials, epochs)
