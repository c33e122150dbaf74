"""What dead jobs left reserved on a real Ray is given back; what others hold is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import standin
from patience import wait_for
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


# A job that dies with an actor of its own, and says which one that was.
DYING = """
import os, ray
ray.init(log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=0)
class Maker:
    def who(self):
        return ray.get_runtime_context().get_actor_id()
maker = Maker.remote()
print(ray.get(maker.who.remote()), flush=True)
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


def reserve_for(job: str, actor: str, address: str) -> str:
    """What of an actor's last request comes to Ray only after its job and itself are dead."""
    from ray._private.grpc_utils import init_grpc_channel
    from ray._raylet import JobID, PlacementGroupID
    from ray.core.generated.common_pb2 import Bundle, PlacementGroupSpec
    from ray.core.generated.gcs_service_pb2 import CreatePlacementGroupRequest
    from ray.core.generated.gcs_service_pb2_grpc import PlacementGroupInfoGcsServiceStub

    made = PlacementGroupID.of(JobID(bytes.fromhex(job)))
    bundle = Bundle(unit_resources={"CPU": 1.0})
    bundle.bundle_id.placement_group_id = made.binary()
    spec = PlacementGroupSpec(placement_group_id=made.binary(), bundles=[bundle])
    spec.creator_job_id, spec.creator_actor_id = bytes.fromhex(job), bytes.fromhex(actor)
    with init_grpc_channel(address) as line:
        asked = CreatePlacementGroupRequest(placement_group_spec=spec)
        PlacementGroupInfoGcsServiceStub(line).CreatePlacementGroup(asked, timeout=60)
    return str(made.hex())


def test_what_a_dead_job_left_that_died_while_it_reserved_is_given_back(environment: dict[str, str]) -> None:
    before = orphans._dead_jobs()
    died = subprocess.run(
        [sys.executable, "-c", DYING], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    actor = died.stdout.strip()
    wait_for(lambda: orphans._dead_jobs() - before and orphans._is_dead(bytes.fromhex(actor)))
    (job,) = orphans._dead_jobs() - before
    left = reserve_for(job, actor, environment["RAY_ADDRESS"])
    wait_for(lambda: states()[left] == "CREATED")
    assert orphaned() == {left}, "Ray gives it back by itself now: `orphans` may not be needed any more"
    assert release_orphans() == 1
    assert states()[left] == "REMOVED"


@pytest.fixture
def left() -> str:
    """A reservation that an actor of this job has left, who is dead."""
    import ray

    maker = maker_class().remote()
    reserved = str(ray.get(maker.reserve.remote()))
    ray.kill(maker)
    wait_for(orphaned)
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
