"""Reservations of CPUs and GPUs that nobody holds any more, and that Ray would keep for as long as it runs.

Ray gives back a placement group when it hears that its job and the actor that made it are dead. It hears of each but
once: a group that a dying training makes in the second after its driver was killed is never given back, and a trial
that needs its place waits for ever. Of a living job, one whose maker died is kept until the job ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)


def release_orphans() -> int:
    """Give back what is left of dead jobs, and of this job's dead actors; how many reservations. Needs a connection."""
    import ray
    from ray._raylet import PlacementGroupID
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup

    jobs = {*_dead_jobs(), ray.get_runtime_context().get_job_id()}
    orphans = [group.placement_group_id for group in _groups() if _is_orphan(group, jobs)]
    for orphan in orphans:
        log.warning("the reservation %s has outlived those who made it; it is given back", orphan.hex())
        remove_placement_group(PlacementGroup(PlacementGroupID(orphan)))
    return len(orphans)


def _groups() -> Iterator[Any]:
    """All reservations of the cluster that are not given back yet."""
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData

    for content in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(content)
        if group.state != PlacementGroupTableData.REMOVED:
            yield group


def _dead_jobs() -> set[str]:
    from ray._private.state import state

    return {job["JobID"] for job in state.job_table() if job["IsDead"]}


def _is_orphan(group: Any, jobs: set[str]) -> bool:
    """Whether one of these jobs made it, by an actor that is dead. What was made to outlive its job is none.

    A detached actor of a dead job may live and hold it, and another living job may use what its dead actor made.
    """
    return not group.is_detached and group.creator_job_id.hex() in jobs and _is_dead(group.creator_actor_id)


def _is_dead(actor: bytes) -> bool:
    """Whether this actor is dead; a driver, which is none, ends with its job and needs no help."""
    from ray._private.state import state

    if not actor.strip(b"\xff"):
        return False
    return bool(state.actor_table(actor.hex()).get("State", "DEAD") == "DEAD")
