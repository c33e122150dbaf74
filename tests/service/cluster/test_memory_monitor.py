"""A trial whose process Ray ends for want of memory, on a real Ray that finds every memory too full."""

from __future__ import annotations

from pathlib import Path

import pytest
import standin

from service.cluster.local_ray import _environment, connect
from service.cluster.tune import search
from service.jobs.retry import failure_said
from service.settings import Settings

MEMORY_IS_FULL = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "500"}


@pytest.mark.ray
@pytest.mark.slow
def test_a_trial_that_ray_ended_for_its_memory_is_not_taken_up_again(tmp_path: Path) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(standin)
    settings = Settings(home=tmp_path / "a home", tracking_uri="")
    settings.cache.mkdir(parents=True)
    standin.epochs_take(settings.cache, 60)
    asked = standin.search_of(settings.runs / "full", standin.experiment(trials=1))
    with _environment(MEMORY_IS_FULL), connect(settings, cpus=1):
        (trial,) = search(asked, settings, [], run_trial=standin.train)
    assert trial.state == "failed"
    assert "low on memory" in trial.error
    assert "in a row" not in trial.error
    assert failure_said(trial.error).kind == "memory"
