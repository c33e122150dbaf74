"""A new version is withdrawn for its own doing: errors and slowness beyond the former's, never the traffic's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.endpoint.guard import Guard, GuardConfig

CONFIG = GuardConfig(min_requests=20)
Seen = list[tuple[int, float]]


def guard_after(new: Seen, old: Seen, failed: int = 0) -> Guard:
    guard = Guard(CONFIG)
    for version, seen in ((1, old), (2, new)):
        for size, seconds in seen:
            guard.answered(version, size, seconds)
    for _ in range(failed):
        guard.failed(2)
    return guard


def test_too_few_requests_decide_nothing() -> None:
    assert guard_after([], [], failed=19).breach(2, 1) == ""
    assert "100.0% of its last 20 requests failed" in guard_after([], [], failed=20).breach(2, 1)


def test_errors_that_the_former_version_has_as_well_are_not_the_new_ones() -> None:
    guard = guard_after([(1, 0.01)] * 40, [(1, 0.01)] * 40, failed=10)
    assert "20.0% of its last 50 requests failed, 0.0% of the former" in guard.breach(2, 1)
    for _ in range(10):
        guard.failed(1)
    assert guard.breach(2, 1) == ""


def test_a_version_that_is_three_times_slower_is_beyond_its_limit() -> None:
    told = guard_after([(1, 0.09)] * 30, [(1, 0.03)] * 30).breach(2, 1)
    assert told == "its p95 is 3.0x that of version 1 for batches of the same size"
    assert guard_after([(1, 0.05)] * 30, [(1, 0.03)] * 30).breach(2, 1) == ""


def test_larger_batches_after_a_swap_are_the_traffics_doing() -> None:
    old = [(1, 0.03)] * 30 + [(8, 0.2)] * 30
    assert guard_after([(8, 0.2)] * 60, old).breach(2, 1) == ""
    assert guard_after([(4, 0.9)] * 60, old).breach(2, 1) == "", "a size that the former never had says nothing"


def test_a_model_of_microseconds_is_not_judged_by_its_jitter() -> None:
    assert guard_after([(1, 0.004)] * 30, [(1, 0.0005)] * 30).breach(2, 1) == ""


def test_what_is_promoted_anew_is_judged_anew() -> None:
    guard = guard_after([], [], failed=50)
    guard.forget(2)
    assert guard.breach(2, 1) == ""


def test_what_lies_before_the_window_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("service.endpoint.guard.time.monotonic", lambda: now[0])
    guard = guard_after([], [], failed=50)
    now[0] = CONFIG.window_s + 1
    for _ in range(30):
        guard.answered(2, 1, 0.01)
    assert guard.breach(2, 1) == ""


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(1e-4, 1.0)), min_size=1, max_size=200), st.floats(0.2, 1.9))
def test_a_version_within_the_ratio_on_every_batch_is_never_withdrawn(seen: Seen, factor: float) -> None:
    assert guard_after([(size, seconds * factor) for size, seconds in seen], seen).breach(2, 1) == ""
