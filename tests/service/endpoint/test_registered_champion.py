"""From the registry's alias to an answer: a real model, a real registry on SQLite, no Ray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from patience import PATIENCE_S
from starlette.testclient import TestClient
from tiny_model import png

import experiments
from fusegpt.training.checkpoint import Scores, save_best
from service.endpoint.app import create_app
from service.endpoint.champion import RegistryChampions
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.watcher import Watcher
from service.registry import Registry
from service.settings import Settings
from service.tracking.store import connect

NAME = "fusion_waypoints"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_champion_of_the_registry_answers_a_form(tmp_path: Path) -> None:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path / "home")})
    client = connect(settings)
    run = client.create_run(client.create_experiment(NAME)).info.run_id
    folder = tmp_path / "best"
    torch.manual_seed(0)
    experiment = experiments.load(NAME)
    model = experiment.task.build(experiment).build_model()
    save_best(folder, experiment, model, Scores(epoch=1, step=1, metrics={"val/ade_m": 1.5}))
    version = Registry(settings).register(NAME, folder, run, {"val/ade_m": 1.5})
    client.set_registered_model_alias(NAME, "champion", str(version.number))

    config = EndpointConfig(max_batch_size=2, timeout_s=PATIENCE_S)
    engine = Engine(Watcher(NAME, RegistryChampions(settings, NAME), config), config)
    points = np.random.default_rng(0).uniform(-20, 20, (500, 4)).astype(np.float32)
    form = {
        "image": ("f.png", png(320, 96)),
        "sweep": ("s.bin", points.tobytes()),
        "speed_mps": (None, "5"),
        "target_point": (None, "20,0"),
    }
    with TestClient(create_app(engine)) as client_of_endpoint:
        answer = client_of_endpoint.post("/v1/predict", files=form)
        assert answer.status_code == 200, answer.text
        assert np.shape(answer.json()["waypoints"]) == (4, 2)
        assert isinstance(answer.json()["steer"], float)
        assert client_of_endpoint.get("/v1/model").json()["metrics"] == {"val/ade_m": 1.5}
