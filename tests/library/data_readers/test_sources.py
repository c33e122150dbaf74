"""What holds for every source of driving."""

from __future__ import annotations

import pytest

from fusegpt.config import SettingError
from fusegpt.data import CarlaData, KittiData, NavsimData, NuscenesData, WorldData
from fusegpt.experiment import Experiment
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.tasks.waypoints import WaypointsConfig

RECORDED = (KittiData, CarlaData, NavsimData, NuscenesData)


def an_experiment(data: WorldData) -> Experiment:
    return Experiment(name="probe", task=WaypointsConfig(), model=FusionConfig(), data=data)


@pytest.mark.parametrize("source", RECORDED, ids=lambda source: source.__name__)
def test_an_experiment_that_moves_to_a_source_gets_that_sources_heights(source: type[KittiData]) -> None:
    moved = an_experiment(WorldData()).override({"data.source": source(root="x").source, "data.root": "x"})
    assert moved.data == source(root="x")


def test_what_was_written_before_the_move_is_kept_beside_the_sources_heights() -> None:
    written = an_experiment(WorldData()).override({"data.lidar.px_per_m": 8.0, "data.stride": 2})
    moved = written.override({"data.source": "navsim", "data.root": "x", "data.lidar.x_max_m": 64.0}).data
    assert isinstance(moved, NavsimData)
    assert (moved.lidar.split_z_m, moved.lidar.px_per_m, moved.lidar.x_max_m, moved.stride) == (0.2, 8.0, 64.0, 2)


@pytest.mark.parametrize("source", [source for source in RECORDED if source is not KittiData])
def test_a_setting_that_the_source_does_not_have_is_refused_by_name(source: type[CarlaData]) -> None:
    with pytest.raises(SettingError, match=r"data\.n_wheels"):
        an_experiment(WorldData()).override(
            {"data.source": source(root="x").source, "data.root": "x", "data.n_wheels": 3}
        )
