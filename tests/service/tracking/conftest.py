"""A fresh MLflow database for each test: its schema is made once and copied, in a path with a space in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import experiments
from service.events import Search, Trial
from service.settings import Settings
from service.tracking.store import connect


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    settings = Settings(home=file.parent, tracking_uri=f"sqlite:///{file}")
    connect(settings).search_experiments()
    return file


@pytest.fixture
def settings(tmp_path: Path, database: Path) -> Settings:
    home = tmp_path / "a home"
    home.mkdir()
    shutil.copy(database, home / "mlflow.db")
    return Settings(home=home, tracking_uri=f"sqlite:///{home / 'mlflow.db'}")


@pytest.fixture
def search(settings: Settings) -> Search:
    experiment = experiments.load("fusion_waypoints")
    folder = settings.runs / "night"
    folder.mkdir(parents=True)
    return Search("night", experiment, folder, "val/ade_m", "min")


@pytest.fixture
def trial(search: Search) -> Trial:
    return Trial("t0", 0, {"model.n_head": 2}, search.folder / "t0")
