"""`Outage`: whether the hosts that are up have had no place for any trial for a while, as a search runs.

Ray would wait for them without a word, and a trial of several workers would use up its restarts. So the search ends,
its trials keep their state, and whoever has asked for it is told: a job waits in the queue, where it says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from fusegpt.experiment import Resources
from service.cluster.capacity import NoPlaceError, lacking, nodes_of_cluster, trials_at_once
from service.events import Search
from service.settings import Settings

GRACE_SECONDS = 120.0  # hosts that start again are back by then; before Ray Train has given up one worker group
LOOK_SECONDS = 5.0


def outage_of(search: Search, settings: Settings) -> Callable[[], str]:
    """Of a search's cluster. Where jobs wait for a place for ever, as with an autoscaler, its trials do, too: that they
    wait is how it learns that hosts are needed."""
    return Outage(search.experiment.resources) if settings.placement_patience_minutes else lambda: ""


class Outage:
    """Looks at the cluster now and then."""

    def __init__(
        self, resources: Resources, nodes: Callable[[], Sequence[Mapping[str, float]]] = nodes_of_cluster
    ) -> None:
        self._resources, self._nodes = resources, nodes
        self._looked = self._since = float("-inf")
        self._lack = ""

    def __call__(self) -> str:
        """What the trials lack, where they have lacked it for GRACE_SECONDS; else empty."""
        time_s = time.monotonic()
        if time_s - self._looked >= LOOK_SECONDS:
            self._looked, before = time_s, self._lack
            self._lack = self._now()
            self._since = self._since if before and self._lack else time_s
        return self._lack if time_s - self._since >= GRACE_SECONDS else ""

    def _now(self) -> str:
        nodes = self._nodes()
        try:
            trials_at_once(self._resources, nodes)
        except NoPlaceError:
            return lacking(self._resources, nodes)
        return ""
