"""A trial of several workers outlives the loss of any of the processes that it consists of. Without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
import standin
from ray.exceptions import RayActorError
from standin import experiment

from fusegpt.training.report import Result
from service.cluster import worker_group
from service.cluster.losses import RESTARTS
from service.cluster.worker_group import LostWorkersError, _cause, _replacing_the_lost

LOST = [RayActorError(error_msg="the mailbox died"), LostWorkersError("a worker died: exit code 137")]


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, errors: list[Exception], *, gets_on: bool = False) -> Result:
    """A training whose first worker groups end with these errors, one after another; each after an epoch or at once."""
    left = list(errors)

    def attempt(*_: object) -> Result:
        if left and gets_on:
            standin.keep(folder, 1 + len(errors) - len(left))
        if left:
            raise left.pop(0)
        return Result({}, 3, 3, 3, folder / "best", stopped=False)

    monkeypatch.setattr(worker_group, "_attempt", attempt)
    monkeypatch.setattr(worker_group, "release_orphans", lambda: 0)
    return _replacing_the_lost(experiment(workers=2), folder, folder, lambda _: None, lambda: False)


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_workers_are_started_again_whichever_of_their_processes_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert train(tmp_path, monkeypatch, [error] * RESTARTS).epoch == 3


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_what_is_lost_again_and_again_is_told_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with pytest.raises(LostWorkersError, match="died: "):
        train(tmp_path, monkeypatch, [error] * (RESTARTS + 1))


def test_workers_that_get_on_in_between_are_replaced_without_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(tmp_path, monkeypatch, LOST * RESTARTS * 2, gets_on=True).epoch == 3


def test_an_error_of_the_training_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, monkeypatch, [ZeroDivisionError("division by zero")])


GLOO = RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error [10.0.0.4]:1234: Connection reset")


def test_a_broken_connection_alone_says_that_the_other_host_was_lost() -> None:
    assert isinstance(_cause([GLOO]), LostWorkersError)
    assert isinstance(_cause([GLOO, GLOO]), LostWorkersError)


def test_a_broken_connection_beside_an_error_of_the_training_is_only_its_echo() -> None:
    own = ZeroDivisionError("division by zero")
    assert _cause([GLOO, own]) is own
    assert isinstance(_cause([own, RayActorError(error_msg="the worker died")]), LostWorkersError)
