"""Experiments: overrides, trials, and errors that name the dotted key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusegpt.config import SettingError
from fusegpt.data import KittiData, WorldData
from fusegpt.experiment import Experiment, SearchConfig, parse
from fusegpt.models import FusionConfig
from fusegpt.search_space import Choice, Integer
from fusegpt.tasks import WaypointsConfig


def an_experiment(**changes: Any) -> Experiment:
    parts = {"task": WaypointsConfig(), "model": FusionConfig(), "data": WorldData(), **changes}
    return Experiment(name="example", **parts)


SEARCHED = an_experiment(
    search=SearchConfig(
        space={
            "model.n_head": Choice(values=(1, 2, 3, 4, 6, 8)),
            "model.n_embd": Integer(low=50, high=250, step=10),
        }
    )
)


def test_an_experiment_survives_being_written_and_read() -> None:
    assert parse(json.loads(SEARCHED.to_json())) == SEARCHED


def test_every_setting_that_is_listed_can_be_overridden() -> None:
    experiment = an_experiment()
    assert experiment.override(experiment.settings()) == experiment


def test_an_override_changes_that_setting_and_no_other() -> None:
    before, after = SEARCHED.settings(), SEARCHED.override({"model.n_embd": 200}).settings()
    assert {key for key in after if after[key] != before[key]} == {"model.n_embd"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"modle.n_head": 2}, r"modle\.n_head: is no setting \(did you mean model\?\)"),
        ({"nmae": "x"}, r"nmae: is no setting \(did you mean name\?\)"),
        ({"model.n_hed": 2}, r"model\.n_hed: is no setting here \(did you mean model\.n_head\?\)"),
        ({"training.epochs": 0}, r"training\.epochs: Input should be greater than or equal to 1"),
        ({"training.epochs.more": 1}, r"training\.epochs\.more: is no setting"),
        ({"data.source": "moon"}, r"data.*(moon|source)"),
        ({"model.n_embd": 100, "model.n_head": 8}, r"model\.n_embd \(100\) must be a multiple of model\.n_head \(8\)"),
        ({"search.space.model.n_hed": [1]}, r"search\.space\.model\.n_hed: is no setting of example"),
        ({"search.space.name": ["a"]}, r"only settings of task, model, data and training"),
    ],
)
def test_a_wrong_override_names_the_setting(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        an_experiment().override(settings)


def test_another_source_keeps_the_settings_that_both_have() -> None:
    experiment = an_experiment(data=WorldData(image_height_px=64, stride=2, n_drives=5))
    moved = experiment.override({"data.source": "kitti", "data.root": "/somewhere"})
    assert isinstance(moved.data, KittiData)
    assert (moved.data.image_height_px, moved.data.stride, moved.data.root) == (64, 2, "/somewhere")


def test_a_source_can_be_given_as_a_whole_group() -> None:
    moved = an_experiment().override({"data": {"source": "kitti", "root": "/somewhere"}})
    assert isinstance(moved.data, KittiData)


def test_a_setting_of_the_other_source_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match=r"data\.n_drives"):
        an_experiment().override({"data": {"source": "kitti", "root": "/somewhere", "n_drives": 3}})


def test_a_domain_of_the_search_can_be_overridden_by_its_dotted_key() -> None:
    moved = SEARCHED.override({"search.space.model.n_head": [2, 4]})
    assert moved.search.space["model.n_head"] == Choice(values=(2, 4))
    assert moved.search.space["model.n_embd"] == SEARCHED.search.space["model.n_embd"]


@given(st.sampled_from([1, 2, 3, 4, 6, 8]), st.integers(0, 20))
def test_every_drawn_pair_becomes_a_trial_whose_width_divides(n_head: int, steps: int) -> None:
    trial = SEARCHED.trial({"model.n_head": n_head, "model.n_embd": 50 + 10 * steps})
    assert isinstance(trial.model.n_embd, int)
    assert trial.model.n_embd % n_head == 0
    assert 50 <= trial.model.n_embd <= 250
    assert trial.model.n_head == n_head


def test_a_drawn_head_count_alone_moves_the_default_width() -> None:
    trial = SEARCHED.trial({"model.n_head": 6})
    assert trial.model.n_embd == 126


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": FusionConfig(lidar_channels=1)}, r"model\.lidar_channels \(1\) must be 2, as data\.lidar"),
        ({"model": FusionConfig(waypoints=3)}, r"model\.waypoints \(3\) must be 4, one for each data\.horizons_s"),
        ({"model": FusionConfig(waypoint_interval_s=0.4)}, r"data\.horizons_s .* model\.waypoint_interval_s \(0\.4\)"),
        ({"model": FusionConfig(image_channels=1)}, r"model\.image_channels must be 3"),
    ],
)
def test_parts_that_do_not_fit_name_both_settings(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        an_experiment(**changes)
