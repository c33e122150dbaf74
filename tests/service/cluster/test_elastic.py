"""A trial that may shrink goes on with what is left of the cluster; one that may not waits for all of it."""

from __future__ import annotations

import pytest
import torch

from fusegpt.config import SettingError
from fusegpt.experiment import Resources
from service.cluster import elastic
from service.cluster.capacity import trials_at_once
from service.cluster.elastic import Nodes, workers_now
from service.cluster.train import keep_to_the_reserved

pytestmark = pytest.mark.usefixtures("no_patience")
FOUR = Resources(workers_per_trial=4, min_workers=2)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic, "GRACE_SECONDS", 0.0)


def test_all_workers_start_where_there_is_place() -> None:
    assert workers_now(FOUR, lambda: [{"CPU": 3.0}, {"CPU": 1.0}]) == 4
    assert workers_now(FOUR, lambda: [{"CPU": 9.0}]) == 4


def test_where_a_node_was_lost_it_goes_on_with_what_is_left_but_never_with_fewer_than_it_may() -> None:
    assert workers_now(FOUR, lambda: [{"CPU": 3.0}]) == 3
    assert workers_now(FOUR, lambda: [{"CPU": 1.0}]) == 2
    assert workers_now(FOUR, lambda: [{"CPU": 1.5}, {"CPU": 1.5}]) == 2, "none is spread over two"


def test_a_node_that_comes_back_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic, "GRACE_SECONDS", 3600.0)
    monkeypatch.setattr(elastic, "LOOK_SECONDS", 0.01)
    looks: list[Nodes] = [[{"CPU": 2.0}], [{"CPU": 2.0}, {"CPU": 2.0}]]
    assert workers_now(FOUR, lambda: looks.pop(0)) == 4


def test_a_trial_of_a_fixed_number_of_workers_asks_nobody() -> None:
    def never() -> Nodes:
        raise AssertionError("asked")

    assert workers_now(Resources(workers_per_trial=3), never) == 3


def test_a_cluster_that_has_shrunk_still_runs_what_may_shrink() -> None:
    assert trials_at_once(FOUR, [{"CPU": 9.0}]) == 2
    assert trials_at_once(FOUR, [{"CPU": 3.0}]) == 1
    with pytest.raises(SettingError, match=r"resources\.workers_per_trial"):
        trials_at_once(FOUR, [{"CPU": 1.0}])


def test_fewest_workers_are_no_more_than_all() -> None:
    with pytest.raises(ValueError, match="min_workers: 3 is more than workers_per_trial"):
        Resources(workers_per_trial=2, min_workers=3)


@pytest.mark.parametrize(("share", "kept"), [(0.25, [0.25]), (1.0, []), (0.0, [])])
def test_a_part_of_a_gpu_is_that_part_of_its_memory(
    share: float, kept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU itself is a stand-in: torch is told that there is one, and what it is asked for is written down."""
    asked: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", asked.append)
    keep_to_the_reserved(Resources(gpus_per_worker=share))
    assert asked == kept
