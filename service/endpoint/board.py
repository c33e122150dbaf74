"""`Board`: one small Ray actor where the replicas of an endpoint leave their counters, so that each can tell all.

What a replica counted stays when it dies, as a counter must; what it said of the moment (its queue) does not.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Any

from service.endpoint.metrics import Snapshot

log = logging.getLogger(__name__)

SILENT_S = 10.0  # a replica that says nothing for so long is taken for dead
ANSWER_S = 2.0
# Found by every job of the cluster, and not ended with the replica that happened to come first.
IN_CLUSTER = {"namespace": "fusegpt", "lifetime": "detached"}


class Board:
    """Snapshots by replica. `replicas` are told apart by a name of their own."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, Snapshot]] = {}

    def exchange(self, replica: str, snapshot: Snapshot) -> list[Snapshot]:
        """Keep this replica's, return everyone's."""
        now = time.monotonic()
        self._left[replica] = (now, snapshot)
        return [kept if now - when < SILENT_S else _counted(kept) for when, kept in self._left.values()]


def _counted(snapshot: Snapshot) -> Snapshot:
    return [metric for metric in snapshot if metric.type != "gauge"]


def board_name(model: str) -> str:
    """The actor's name on the cluster."""
    return f"fusegpt counters of {model}"


class RayPeers:
    """The other replicas, over the board. Where it does not answer, a replica tells its own counters."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._replica = uuid.uuid4().hex
        self._board: Any = None

    async def exchange(self, own: Snapshot) -> list[Snapshot]:
        try:
            async with asyncio.timeout(ANSWER_S):
                found: list[Snapshot] = await self._actor().exchange.remote(self._replica, own)
                return found
        except Exception as error:
            self._board = None
            log.warning("%s: the counters of the other replicas cannot be had: %s", self._model, error)
            return [own]

    def _actor(self) -> Any:
        import ray

        if self._board is None:
            options = {"name": board_name(self._model), "get_if_exists": True, "num_cpus": 0, **IN_CLUSTER}
            self._board = ray.remote(Board).options(**options).remote()
        return self._board


def remove(model: str) -> None:
    """End the board, if there is one."""
    import ray

    try:
        ray.kill(ray.get_actor(board_name(model), IN_CLUSTER["namespace"]))
    except ValueError:
        return
