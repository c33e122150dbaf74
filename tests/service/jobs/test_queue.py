"""Who starts, who waits, and the sentence that says why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_factory import job

import experiments
from fusegpt.config import SettingError
from service.jobs.job import Job, now
from service.jobs.queue import Capacity, held_by, take_turn

MACHINE = Capacity(8, 2)


def waiting(number: int, cpus: float = 1, gpus: float = 0, **changes: object) -> Job:
    return job(f"fusion-{number}", number=number, cpus=cpus, gpus=gpus, **changes)


def test_a_job_says_what_it_needs_what_is_free_and_who_holds_it() -> None:
    holder = waiting(12, gpus=1, state="running")
    waiter = waiting(13, gpus=2)
    turn = take_turn([waiter], [holder], MACHINE, 0, now())
    assert turn.waits == {waiter.id: "needs 2 GPU, 1 free, held by fusion-12"}


def test_priority_goes_before_order_of_submission() -> None:
    early, late, urgent = waiting(1, cpus=4), waiting(2, cpus=4), waiting(3, cpus=4, priority=5)
    turn = take_turn([early, late, urgent], [], MACHINE, 0, now())
    assert [each.name for each in turn.start] == ["fusion-3", "fusion-1"]
    assert turn.waits[late.id] == "needs 4 CPU, 0 free, held by fusion-3, fusion-1"


def test_a_large_job_is_not_overtaken_for_ever_by_small_ones() -> None:
    holder = waiting(1, cpus=6, state="running")
    large, small = waiting(2, cpus=8), waiting(3, cpus=1)
    turn = take_turn([large, small], [holder], MACHINE, 0, now())
    assert turn.start == []
    assert turn.waits[small.id] == "needs 1 CPU, 0 free, held by fusion-1, after fusion-2"


def test_what_nobody_waits_for_is_given_to_who_comes_later() -> None:
    holder = waiting(1, cpus=1, gpus=2, state="running")
    for_gpus, for_cpus = waiting(2, cpus=2, gpus=2), waiting(3, cpus=4)
    assert take_turn([for_gpus, for_cpus], [holder], MACHINE, 0, now()).start == [for_cpus]


def test_the_limit_of_jobs_at_once_is_named() -> None:
    turn = take_turn([waiting(2), waiting(3)], [waiting(1, state="running")], MACHINE, 2, now())
    assert [each.name for each in turn.start] == ["fusion-2"]
    assert list(turn.waits.values()) == ["waits for a place: 2 jobs at once at most, running fusion-1, fusion-2"]


def test_a_retry_waits_until_its_time_and_keeps_its_cause() -> None:
    later = now() + timedelta(seconds=40)
    retry = waiting(1, not_before=later, reason="the cluster was unreachable: no answer")
    for _ in range(2):  # said once, however often the queue is asked
        turn = take_turn([retry], [], MACHINE, 0, now())
        assert turn.waits[retry.id] == f"tries again at {later:%H:%M:%S} UTC: the cluster was unreachable: no answer"
        retry = retry.model_copy(update={"reason": turn.waits[retry.id]})
    assert take_turn([retry], [], MACHINE, 0, later + timedelta(seconds=1)).start == [retry]


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2), st.integers(-2, 2)), max_size=12),
    st.integers(0, 4),
)
def test_nothing_is_given_twice_and_nobody_is_left_without_a_reason(
    wants: list[tuple[int, int, int]], jobs: int
) -> None:
    queued = [waiting(n, cpus=c, gpus=g, priority=p) for n, (c, g, p) in enumerate(wants)]
    turn = take_turn(queued, [], MACHINE, jobs, now())
    assert sum(each.cpus for each in turn.start) <= MACHINE.cpus
    assert sum(each.gpus for each in turn.start) <= MACHINE.gpus
    assert not jobs or len(turn.start) <= jobs
    assert {each.id for each in turn.start} | set(turn.waits) == {each.id for each in queued}
    assert bool(turn.start) == bool(queued)


def test_a_job_holds_all_trials_that_run_at_once() -> None:
    experiment = experiments.load("fusion_waypoints")
    two = experiment.override({"resources.workers_per_trial": 2, "resources.concurrent_trials": 3})
    assert held_by(two, MACHINE) == Capacity(6, 0)
    assert held_by(experiment.override({"search.trials": 2}), MACHINE) == Capacity(2, 0)
    assert held_by(experiment.override({"resources.gpus_per_worker": 0.5}), MACHINE) == Capacity(4, 2)


def test_a_trial_that_can_never_fit_is_refused_at_once() -> None:
    experiment = experiments.load("fusion_waypoints").override({"resources.gpus_per_worker": 4})
    with pytest.raises(SettingError, match=r"resources\.gpus_per_worker"):
        held_by(experiment, MACHINE)
