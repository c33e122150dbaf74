"""What is chance is tried again; what would come again is not, and the first cause is told."""

from __future__ import annotations

import pytest
from job_factory import job

from fusegpt.config import SettingError
from fusegpt.experiment import Resources
from service.cluster.capacity import trials_at_once
from service.errors import ClusterUnreachable
from service.jobs.journal import progress_of
from service.jobs.memory import MemoryJobStore
from service.jobs.retry import LONGEST_WAIT, RETRIES, failure_of, failure_said, may_retry, pause_before
from service.jobs.worker import failed


class ActorDiedError(Exception):
    """Named as Ray's: the classes are known by name."""


class RayActorError(Exception):
    """Ray's ancestor of what says that an actor died."""


class RayTaskError(Exception):
    def __init__(self, cause: Exception) -> None:
        super().__init__(f"ray::run_trial() {cause}")
        self.cause = cause


def test_a_lost_worker_is_tried_again_but_not_for_ever() -> None:
    failure = failure_of(RayActorError("the actor died unexpectedly"))
    assert failure.kind == "lost"
    assert may_retry(failure, 0)
    assert not may_retry(failure, RETRIES["lost"])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("cannot allocate 12 GiB"), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory"),
        (RuntimeError("step 7: the loss is not a finite number"), "not_finite"),
        (SettingError("model.n_head: must be at least 1"), "spec"),
        (ZeroDivisionError("division by zero"), "other"),
    ],
)
def test_what_would_come_again_is_not_tried_again(error: Exception, kind: str) -> None:
    failure = failure_of(error)
    assert failure.kind == kind
    assert not may_retry(failure, 0)
    assert str(error) in failure.reason()


def test_a_server_that_was_away_does_not_use_up_the_retries_of_a_lost_process() -> None:
    asked = job().model_copy(update={"state": "running", "attempts": 1})
    for error in [*[ClusterUnreachable("MLflow does not answer")] * 5, *[RayActorError("the actor died")] * 3]:
        changes = failed(asked, failure_of(error))
        assert changes["state"] == "queued"
        asked = asked.model_copy(update={**changes, "state": "running"})
    assert asked.retries == 8
    assert failed(asked, failure_of(RayActorError("the actor died")))["state"] == "failed"
    assert failed(asked, failure_of(ClusterUnreachable("MLflow does not answer")))["state"] == "queued"


def test_retries_count_anew_once_the_trials_have_got_on() -> None:
    lost = failure_of(RayActorError("the actor died"))
    asked = job().model_copy(update={"state": "running", "attempts": 1})
    for progress in range(1, 8):
        for _ in range(RETRIES["lost"]):
            changes = failed(asked, lost, progress)
            assert changes["state"] == "queued"
            asked = asked.model_copy(update={**changes, "state": "running"})
    assert asked.retries == 7 * RETRIES["lost"]
    assert failed(asked, lost, 7)["state"] == "failed"
    assert failed(asked, lost, 6)["state"] == "failed", "a log that has missed lines is no progress"


def test_how_far_trials_have_come_is_their_epochs_and_their_ends() -> None:
    store = MemoryJobStore()
    asked = store.submit(job())
    assert progress_of(store, asked.id) == 0
    for trial, epoch, state in (("a", 1, "running"), ("b", 2, "running"), ("a", 3, "running"), ("b", 2, "finished")):
        store.append(asked.id, "trial_reported", {"epoch": epoch, "state": state}, trial)
    assert progress_of(store, asked.id) == 3 + 2 + 1


def test_a_cluster_that_has_lost_the_place_for_a_trial_is_waited_for() -> None:
    """The job was admitted: a trial did fit, and will when the node is back."""
    with pytest.raises(SettingError) as refused:
        trials_at_once(Resources(workers_per_trial=2), [{"CPU": 1.0}])
    failure = failure_of(refused.value)
    assert may_retry(failure, 3)
    assert pause_before(failure, 0).total_seconds() > 0
    assert "2 x 1 CPU" in failure.reason()


def test_the_first_cause_is_told_not_the_last_word() -> None:
    try:
        try:
            raise MemoryError("cannot allocate 12 GiB")
        except MemoryError as error:
            raise RayActorError("the actor died") from RayTaskError(error)
    except RayActorError as error:
        failure = failure_of(error)
    assert failure.kind == "memory"
    assert failure.cause == "MemoryError: cannot allocate 12 GiB"


def test_a_cluster_that_is_away_is_given_time_that_grows() -> None:
    failure = failure_of(ClusterUnreachable("RAY_ADDRESS: nothing answers at head:6379"))
    assert may_retry(failure, 0)
    assert not may_retry(failure, RETRIES["unreachable"])
    waits = [pause_before(failure, retries).total_seconds() for retries in range(RETRIES["unreachable"])]
    assert waits == sorted(waits)
    assert 1 <= waits[0] < waits[1]
    assert max(waits) == LONGEST_WAIT.total_seconds()
    assert sum(waits) > 20 * 60, "what a server may be away for"
    assert not pause_before(failure_of(RayActorError("gone")), 2)


def test_the_words_of_a_trial_are_enough() -> None:
    assert failure_said("its process died 4 times in a row with no progress; the last time: SIGKILL").kind == "lost"
    assert failure_said("torch.OutOfMemoryError: CUDA out of memory").kind == "memory"
    assert failure_said("something new").reason() == "the job failed: something new"
