"""`Mailbox`: what the workers of one training tell the process that started them, and the word to stop.

An actor of its own, because Tune's trial actor answers one call at a time. A worker that has told something waits
until it was heard: whoever decides on an epoch has decided before the next one begins.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fusegpt.training.report import Report, Result


class Mailbox:
    """One training's mailbox. `tell` and `finish` are the workers', `hear` and `stop` their starter's."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[tuple[Report, asyncio.Event]] = asyncio.Queue()
        self._unanswered: asyncio.Event | None = None
        self._stopped = False
        self._result: Result | None = None

    async def tell(self, report: Report) -> None:
        """Tell of an epoch; returns once it has been dealt with."""
        dealt_with = asyncio.Event()
        await self._told.put((report, dealt_with))
        await dealt_with.wait()

    async def hear(self, seconds: float) -> Report | None:
        """The next report, or None where none came in time. To ask for the next says that the last is dealt with."""
        if self._unanswered is not None:
            self._unanswered.set()
            self._unanswered = None
        try:
            report, self._unanswered = await asyncio.wait_for(self._told.get(), seconds)
        except TimeoutError:
            return None
        return report

    async def stop(self) -> None:
        """Ask the workers to stop at their next step."""
        self._stopped = True

    async def stopped(self) -> bool:
        return self._stopped

    async def finish(self, result: Result) -> None:
        self._result = result

    async def result(self) -> Result | None:
        return self._result


def open_mailbox() -> Any:
    """A new mailbox on the cluster; it goes with the process that opened it."""
    import ray

    return ray.remote(num_cpus=0)(Mailbox).remote()
