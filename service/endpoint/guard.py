"""`Guard`: whether a new version does worse on real requests than the one before it, by its errors and its time.

Times are compared for batches of the same size: what a batch takes follows from its size, and that from the traffic.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from fusegpt.config import Config

REMEMBERED = 5000  # requests of one version


class GuardConfig(Config):
    """Limits of a new version on real requests; beyond one it is withdrawn."""

    probation_s: float = Field(default=600.0, ge=0, description="How long a new champion is watched; 0 never.")
    window_s: float = Field(default=60.0, gt=0, description="The latest seconds that are judged.")
    min_requests: int = Field(default=30, ge=1, description="Fewer requests in the window decide nothing.")
    error_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of requests that may fail beyond the former version's."
    )
    latency_ratio: float = Field(default=2.0, gt=1, description="The p95 may be so many times the former version's.")
    latency_ms: float = Field(default=5.0, ge=0, description="A p95 that is longer by less is never too slow.")


@dataclass(frozen=True)
class _Outcome:
    at: float
    batch_size: int
    seconds: float
    failed: bool


class Guard:
    """Remembers the latest requests by version. Used from one thread."""

    def __init__(self, config: GuardConfig) -> None:
        self._config = config
        self._seen: dict[int, deque[_Outcome]] = {}

    def answered(self, version: int, batch_size: int, seconds: float) -> None:
        """A request was predicted in a batch of this size, which took so long."""
        self._note(version, _Outcome(time.monotonic(), batch_size, seconds, failed=False))

    def failed(self, version: int) -> None:
        """A request was right, and the version did not answer it."""
        self._note(version, _Outcome(time.monotonic(), 0, 0.0, failed=True))

    def forget(self, version: int) -> None:
        """What comes is judged anew."""
        self._seen.pop(version, None)

    def breach(self, version: int, former: int) -> str:
        """Which limit a version is beyond, in words; empty where it is within, or too little was seen."""
        new, old = self._recent(version), self._recent(former)
        if len(new) < self._config.min_requests:
            return ""
        return self._errors(new, old) or self._latency(new, old, former)

    def _note(self, version: int, outcome: _Outcome) -> None:
        self._seen.setdefault(version, deque(maxlen=REMEMBERED)).append(outcome)

    def _recent(self, version: int) -> list[_Outcome]:
        """The window ends with the version's last request: the former one has got none since the swap."""
        seen = self._seen.get(version)
        return [outcome for outcome in seen if outcome.at > seen[-1].at - self._config.window_s] if seen else []

    def _errors(self, new: list[_Outcome], old: list[_Outcome]) -> str:
        share, before = (sum(outcome.failed for outcome in seen) / max(len(seen), 1) for seen in (new, old))
        if share - before <= self._config.error_share:
            return ""
        return f"{share:.1%} of its last {len(new)} requests failed, {before:.1%} of the former version's"

    def _latency(self, new: list[_Outcome], old: list[_Outcome], former: int) -> str:
        """Each time over the former's median for batches of its size; the p95 of that against the former's own."""
        times = _by_size(old)
        medians = {size: float(np.median(seconds)) for size, seconds in times.items()}
        mine = [outcome for outcome in new if not outcome.failed and outcome.batch_size in medians]
        if min(len(mine), sum(map(len, times.values()))) < self._config.min_requests:
            return ""
        slowness = _p95([outcome.seconds / medians[outcome.batch_size] for outcome in mine])
        usual = _p95([s / medians[size] for size, seconds in times.items() for s in seconds])
        more_ms = 1000 * (_p95([o.seconds for o in mine]) - _p95([s for many in times.values() for s in many]))
        if slowness <= self._config.latency_ratio * usual or more_ms <= self._config.latency_ms:
            return ""
        return f"its p95 is {slowness / usual:.1f}x that of version {former} for batches of the same size"


def _by_size(outcomes: list[_Outcome]) -> dict[int, list[float]]:
    times: dict[int, list[float]] = {}
    for outcome in outcomes:
        if not outcome.failed:
            times.setdefault(outcome.batch_size, []).append(outcome.seconds)
    return times


def _p95(values: list[float]) -> float:
    return float(np.quantile(values, 0.95))
