"""The states of a job, and which may follow which: data, so that every store and every test reads the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

JobState = Literal["queued", "starting", "running", "pausing", "paused", "stopping", "stopped", "succeeded", "failed"]

# queued -> starting -> running -> succeeded is the straight way. Back to queued: a retry, a paused job resumed, or one
# that has ended and is to have more. What was asked to pause or to stop may still reach its end first.
LEGAL: Mapping[JobState, frozenset[JobState]] = {
    "queued": frozenset({"starting", "paused", "stopped", "failed"}),
    "starting": frozenset({"running", "pausing", "stopping", "queued", "failed"}),
    "running": frozenset({"pausing", "stopping", "queued", "succeeded", "failed"}),
    "pausing": frozenset({"paused", "stopping", "succeeded", "failed"}),
    "paused": frozenset({"queued", "stopped"}),
    "stopping": frozenset({"stopped", "succeeded", "failed"}),
    "stopped": frozenset({"queued"}),
    "succeeded": frozenset({"queued"}),
    "failed": frozenset({"queued"}),
}

STATES: tuple[JobState, ...] = get_args(JobState)
# Nothing happens any more unless somebody asks for it.
FINAL: frozenset[JobState] = frozenset({"stopped", "succeeded", "failed"})
# A process may be at work, and resources are held.
ACTIVE: frozenset[JobState] = frozenset({"starting", "running", "pausing", "stopping"})


class IllegalMoveError(ValueError):
    """A job cannot go from the one state to the other."""


def check_move(before: JobState, after: JobState) -> None:
    """Raises IllegalMoveError where no such transition exists."""
    if after not in LEGAL[before]:
        allowed = ", ".join(sorted(LEGAL[before]))
        raise IllegalMoveError(f"a job that is {before} cannot become {after}; it can become {allowed}")
