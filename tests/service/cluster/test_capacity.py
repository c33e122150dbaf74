from __future__ import annotations

import pytest

from fusegpt.config import SettingError
from fusegpt.experiment import Resources
from service.cluster.capacity import trials_at_once

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
