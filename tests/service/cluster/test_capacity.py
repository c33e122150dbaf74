from __future__ import annotations

import pytest

from fusegpt.config import SettingError
from fusegpt.experiment import Resources
from service.cluster.capacity import lacking, trials_at_once

TWO_NODES = [{"CPU": 3.0}, {"CPU": 5.0, "GPU": 2.0}]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), 8),
        (Resources(concurrent_trials=3), 3),
        (Resources(cpus_per_worker=2), 3),
        (Resources(cpus_per_worker=0.5, workers_per_trial=4), 4),
        (Resources(cpus_per_worker=0.1, workers_per_trial=10), 8),
        (Resources(gpus_per_worker=0.5), 4),
        (Resources(workers_per_trial=2, gpus_per_worker=1), 1),
    ],
)
def test_as_many_trials_run_as_fit(resources: Resources, expected: int) -> None:
    assert trials_at_once(resources, TWO_NODES) == expected


@pytest.mark.parametrize("resources", [Resources(cpus_per_worker=6), Resources(workers_per_trial=3, gpus_per_worker=1)])
def test_a_trial_that_never_fits_is_refused_with_the_settings_and_what_there_is(resources: Resources) -> None:
    with pytest.raises(SettingError, match=r"resources\.workers_per_trial") as refused:
        trials_at_once(resources, TWO_NODES)
    assert "5 CPU and 2 GPU" in str(refused.value)


@pytest.mark.parametrize(
    ("resources", "lacks"),
    [
        (Resources(gpus_per_worker=4), "needs 4 GPU a worker; the largest host that is up has 2"),
        (Resources(cpus_per_worker=6), "needs 6 CPU a worker; the largest host that is up has 5"),
        (
            Resources(workers_per_trial=4, min_workers=3, gpus_per_worker=1),
            "needs 1 GPU and 1 CPU for each of 3 workers; the hosts that are up take 2",
        ),
    ],
)
def test_what_has_no_place_is_said_beside_what_is_there(resources: Resources, lacks: str) -> None:
    with pytest.raises(SettingError):
        trials_at_once(resources, TWO_NODES)
    assert lacking(resources, TWO_NODES) == lacks


def test_nodes_that_have_one_kind_each_are_said_to_have_not_both() -> None:
    nodes = [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 2.0}]
    assert lacking(Resources(cpus_per_worker=4, gpus_per_worker=1), nodes).endswith("no host that is up has both")
    assert lacking(Resources(), []) == "needs 1 CPU a worker; no host is up"
