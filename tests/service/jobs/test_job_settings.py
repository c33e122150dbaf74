"""The settings of the job service, and that a job's process reads the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings


def test_another_process_reads_the_same_settings(tmp_path: Path) -> None:
    written = {
        "FUSEGPT_HOME": str(tmp_path),
        "FUSEGPT_DATA": "/data/kitti",
        "FUSEGPT_DATA_ROOTS": "/data/kitti:/data/carla",
        "FUSEGPT_STORE": "postgresql://fusegpt@db/jobs",
        "FUSEGPT_TOKENS": "/etc/fusegpt/tokens",
        "FUSEGPT_API_PORT": "0",
        "FUSEGPT_JOBS": "2",
        "FUSEGPT_PLACEMENT_PATIENCE_MINUTES": "30",
    }
    settings = Settings.read(written)
    assert Settings.read(settings.environment()) == settings
    assert settings.placement_patience_minutes == 30
    assert settings.roots == (Path("/data/kitti"), Path("/data/carla"))
    assert "db/jobs" not in repr(settings), "the store's URL may hold a password"
    assert Settings.read(Settings.read({}).environment()) == Settings.read({})


def test_jobs_are_kept_under_home_unless_a_store_is_named(tmp_path: Path) -> None:
    assert Settings.read({"FUSEGPT_HOME": str(tmp_path)}).store_url == f"sqlite:///{tmp_path}/jobs.db"


def test_a_port_of_the_api_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="FUSEGPT_API_PORT: 'high'"):
        Settings.read({"FUSEGPT_API_PORT": "high"})
    with pytest.raises(ValueError, match="FUSEGPT_JOBS: '-1'"):
        Settings.read({"FUSEGPT_JOBS": "-1"})
