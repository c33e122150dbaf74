"""A fresh MLflow database for each test (its schema is made once and copied), and folders of tiny models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from service.settings import Settings
from service.tracking.store import connect, experiment_id

MakeModel = Callable[[str], Path]
MakeRun = Callable[[], str]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(Settings(home=file.parent, tracking_uri=f"sqlite:///{file}")).search_experiments()
    return file


@pytest.fixture
def settings(tmp_path: Path, database: Path) -> Settings:
    home = tmp_path / "a home"
    home.mkdir()
    shutil.copy(database, home / "mlflow.db")
    return Settings(home=home, tracking_uri=f"sqlite:///{home / 'mlflow.db'}")


@pytest.fixture
def make_run(settings: Settings) -> MakeRun:
    def make() -> str:
        client = connect(settings)
        return str(client.create_run(experiment_id(client, settings, "toy")).info.run_id)

    return make


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A model's folder whose experiment.json says which it is."""

    def make(who: str) -> Path:
        folder = tmp_path / "models" / who
        folder.mkdir(parents=True)
        (folder / "experiment.json").write_text(json.dumps({"who": who}))
        (folder / "metrics.json").write_text("{}")
        save_file({"weight": np.ones(3, np.float32)}, folder / "model.safetensors")
        return folder

    return make
