"""What dead jobs left reserved on a real Ray is given back; what others hold is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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


def test_a_reservation_that_was_made_after_its_job_had_died_is_given_back(maker: Any) -> None:
    import ray

    left = ray.get(maker.reserve.remote())
    assert states()[left] == "CREATED"
    assert release_orphans() == 1
    assert states()[left] == "REMOVED"
    assert release_orphans() == 0


def test_a_reservation_of_a_living_job_is_given_back_when_the_actor_that_made_it_has_died(maker: Any) -> None:
    import ray

    del maker
    other = maker_class().remote()
    left = ray.get(other.reserve.remote())
    assert release_orphans() == 0
    ray.kill(other)
    deadline = time.monotonic() + 30.0
    while not (released := release_orphans()) and time.monotonic() < deadline:  # until Ray knows of the death
        time.sleep(0.1)
    assert (released, states()[left]) == (1, "REMOVED")


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
