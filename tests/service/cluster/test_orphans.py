"""What dead jobs left reserved on a real Ray is given back; what others hold is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.cluster import orphans
from service.cluster.local_ray import connect
from service.cluster.orphans import release_orphans
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


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An actor whose job is over, on a Ray with four CPUs to which another job is connected."""
    import ray

    with connect(settings(tmp_path_factory.mktemp("home")), cpus=4) as cluster:
        maker_class().options(name="maker", namespace="here", lifetime="detached").remote()
        ray.get(ray.get_actor("maker", "here").__ray_ready__.remote())
        ray.shutdown()
        ray.init(address=cluster.address, log_to_driver=False)
        yield ray.get_actor("maker", "here")


def settings(home: Path) -> Settings:
    return Settings.read({"FUSEGPT_HOME": str(home)})


def states() -> dict[str, str]:
    from ray.util import placement_group_table

    return {name: group["state"] for name, group in placement_group_table().items()}


def test_a_reservation_that_was_made_after_its_job_had_died_is_kept_while_its_maker_lives(maker: Any) -> None:
    import ray

    held = ray.get(maker.reserve.remote())
    assert release_orphans() == 0
    assert states()[held] == "CREATED"


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


def until_released() -> int:
    """How many were given back, as soon as Ray knows of a death."""
    deadline = time.monotonic() + 30.0
    while not (released := release_orphans()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return released


def test_a_reservation_of_a_living_job_is_given_back_when_the_actor_that_made_it_has_died(maker: Any) -> None:
    import ray

    del maker
    other = maker_class().remote()
    left = ray.get(other.reserve.remote())
    assert release_orphans() == 0
    ray.kill(other)
    assert (until_released(), states()[left]) == (1, "REMOVED")


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
