"""What dead jobs left reserved on a real Ray is given back; what others hold is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import standin
from ray import cloudpickle
from standin import experiment, search_of

from fusegpt.training.report import Result
from service.cluster import orphans, worker_group
from service.cluster.local_ray import connect
from service.cluster.orphans import release_orphans
from service.cluster.tune import search
from service.settings import Settings

pytestmark = pytest.mark.ray


def maker_class() -> Any:
    """What makes reservations, as Ray Train's controller does. In a function: Ray sends such a class by value."""
    import ray
    from ray.util import placement_group

    class Maker:
        def reserve(self) -> str:
            group = placement_group([{"CPU": 1}])
            ray.get(group.ready())
            return str(group.id.hex())

    return ray.remote(num_cpus=0)(Maker)


# A job that dies while an actor of it makes one reservation after another.
DYING = """
import os, time, ray
from ray.util import placement_group
ray.init(log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=0, max_concurrency=4)
class Maker:
    def go_on(self):
        while True:
            placement_group([{"CPU": 0.001}])
maker = Maker.remote()
ray.get(maker.__ray_ready__.remote())
for _ in range(4):
    maker.go_on.remote()
time.sleep(0.2)
os._exit(1)
"""


@pytest.fixture(scope="module")
def environment(module_settings: Settings) -> Iterator[dict[str, str]]:
    """What a process needs to connect to a Ray with four CPUs, to which this one is connected."""
    cloudpickle.register_pickle_by_value(standin)
    with connect(module_settings, cpus=4) as cluster:
        yield {**os.environ, "RAY_ADDRESS": cluster.address}


@pytest.fixture(scope="module")
def maker(environment: dict[str, str]) -> Any:
    """An actor whose job is over; this process has another."""
    import ray

    maker_class().options(name="maker", namespace="here", lifetime="detached").remote()
    ray.get(ray.get_actor("maker", "here").__ray_ready__.remote())
    ray.shutdown()
    ray.init(address=environment["RAY_ADDRESS"], log_to_driver=False)
    return ray.get_actor("maker", "here")


def states() -> dict[str, str]:
    from ray.util import placement_group_table

    return {name: group["state"] for name, group in placement_group_table().items()}


def orphaned() -> set[str]:
    """Reservations of dead actors, of dead jobs or of this one."""
    import ray

    jobs = {*orphans._dead_jobs(), ray.get_runtime_context().get_job_id()}
    return {group.placement_group_id.hex() for group in orphans._groups() if orphans._is_orphan(group, jobs)}


def test_a_reservation_that_was_made_after_its_job_had_died_is_kept_while_its_maker_lives(maker: Any) -> None:
    import ray

    held = ray.get(maker.reserve.remote())
    assert release_orphans() == 0
    assert states()[held] == "CREATED"


@pytest.mark.slow
def test_what_a_dead_job_left_that_died_while_it_reserved_is_given_back(environment: dict[str, str]) -> None:
    for _ in range(12):  # Ray misses one in many of these deaths, not in each
        subprocess.run([sys.executable, "-c", DYING], env=environment, capture_output=True, timeout=60, check=False)
        time.sleep(2.0)  # what Ray gives back by itself
        if left := orphaned():
            break
    else:
        pytest.fail("Ray gives back by itself now what a dead job left: `orphans` may not be needed any more")
    release_orphans()
    assert {states()[name] for name in left} == {"REMOVED"}


@pytest.fixture
def left() -> str:
    """A reservation that an actor of this job has left, who is dead."""
    import ray

    maker = maker_class().remote()
    reserved = str(ray.get(maker.reserve.remote()))
    ray.kill(maker)
    deadline = time.monotonic() + 30.0
    while not orphaned() and time.monotonic() < deadline:
        time.sleep(0.1)
    return reserved


def test_a_search_gives_back_what_the_dead_have_left(maker: Any, left: str, module_settings: Settings) -> None:
    del maker
    asked = search_of(module_settings.runs / "after the dead", experiment(trials=1))
    assert [trial.state for trial in search(asked, module_settings, [], run_trial=standin.train)] == ["finished"]
    assert states()[left] == "REMOVED"


def test_a_worker_group_gives_back_what_the_dead_have_left(
    maker: Any, left: str, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    del maker
    found: list[str] = []

    def attempt(*_: Any) -> Result:
        found.append(states()[left])
        return Result({}, 0, 0, 0, module_settings.home, stopped=True)

    monkeypatch.setattr(worker_group, "_attempt", attempt)
    folder = module_settings.home / "trial"
    worker_group.train_together(experiment(workers=2), folder, module_settings.cache, lambda _: None, lambda: False)
    assert found == ["REMOVED"]


@pytest.mark.parametrize(
    ("job", "detached", "dead", "orphan"),
    [("01", False, True, True), ("02", False, True, False), ("01", True, True, False), ("01", False, False, False)],
    ids=["of a dead job and a dead actor", "of another living job", "detached", "whose maker lives"],
)
def test_an_orphan_is_what_a_dead_actor_of_these_jobs_made(
    job: str, detached: bool, dead: bool, orphan: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "_is_dead", lambda _actor: dead)
    group = SimpleNamespace(is_detached=detached, creator_job_id=bytes.fromhex(job), creator_actor_id=b"actor")
    assert orphans._is_orphan(group, {"01"}) is orphan


def test_reservations_of_a_living_job_and_such_as_were_made_to_outlive_it_are_kept(maker: Any) -> None:
    import ray
    from ray.util import placement_group, remove_placement_group

    del maker
    own, kept = placement_group([{"CPU": 1}]), placement_group([{"CPU": 1}], lifetime="detached", name="kept")
    ray.get([own.ready(), kept.ready()])
    assert release_orphans() == 0
    assert [states()[group.id.hex()] for group in (own, kept)] == ["CREATED", "CREATED"]
    for group in (own, kept):
        remove_placement_group(group)
