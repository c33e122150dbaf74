"""`submit --smoke` queues the experiment's own small settings, under what the person says, in both modes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from job_modes import Fusegpt

import experiments
from service.jobs.store import JobStore
from service.spec import JobSpec, resolve


def queued(store: JobStore, name: str) -> dict[str, Any]:
    """The settings that a job's process would run."""
    return resolve(JobSpec.model_validate(store.get(name).spec)).settings()


@pytest.mark.parametrize("name", ["row_classifier", "fusion_waypoints"])
def test_what_is_queued_is_what_the_experiment_calls_small(fusegpt: Fusegpt, store: JobStore, name: str) -> None:
    told = fusegpt("submit", name, "--smoke", "--quiet", "--name", "small")
    assert told.code == 0, told.err
    settings, whole = queued(store, "small"), experiments.load(name).settings()
    assert {key: value for key, value in settings.items() if value != whole[key]} == experiments.smoke(name)


def test_what_a_person_sets_wins_and_the_plan_shows_it(fusegpt: Fusegpt, store: JobStore) -> None:
    asked = ("row_classifier", "--smoke", "--set", "training.epochs=5", "--no-probe")
    shown = fusegpt("submit", *asked, "--dry-run", "--json").json["settings"]
    assert store.jobs() == []
    told = fusegpt("submit", *asked, "--name", "mine")
    assert told.code == 0, told.err
    settings = queued(store, "mine")
    assert settings["training.epochs"] == 5
    assert settings == shown
    others = {key: value for key, value in experiments.smoke("row_classifier").items() if key != "training.epochs"}
    assert {key: settings[key] for key in others} == others


def test_small_settings_of_its_own_data_are_not_for_data_from_elsewhere(
    fusegpt: Fusegpt, mode: str, tmp_path: Path
) -> None:
    smoke = experiments.smoke("fusion_waypoints")
    assert any(key.startswith("data.") for key in smoke), "or the test shows nothing"
    told = fusegpt("submit", "fusion_waypoints", "--smoke", "--data", f"kitti:{tmp_path}", "--dry-run", "--no-probe")
    if mode == "over HTTP":  # its operator named no data
        assert "data.root: this service has no recorded data" in told.err
    else:
        assert told.code == 0, told.err
        assert f"of {smoke['training.epochs']} epoch" in told.out, "what is not of the data holds all the same"


def test_an_experiment_that_there_is_not_is_refused(fusegpt: Fusegpt, store: JobStore) -> None:
    told = fusegpt("submit", "translatio", "--smoke", "--quiet")
    assert told.code == 2
    assert "there is no 'translatio'" in told.err
    assert store.jobs() == []
