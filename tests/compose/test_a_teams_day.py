"""A team's day on the cluster that docker-compose.yml describes: submit, watch, browse, promote, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks._cluster.books import MLFLOW, findings, in_mlflow
from benchmarks._cluster.laptop import Laptop, wait_for
from benchmarks._cluster.stack import ASK, Stack
from benchmarks._cluster.tiny_spec import spec

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(2400)]

HERE = Path(__file__).parent
MODEL = "http://endpoint:8700/v1/model"
SPREAD, TRIALS, EPOCHS = "over-both-hosts", 1, 2
ENDS_S, SERVED_S = 900.0, 300.0


@pytest.fixture(scope="module")
def submitted(laptop: Laptop) -> Any:
    """A job whose one trial takes both worker hosts, submitted and followed to its end."""
    file = spec(laptop, SPREAD, trials=TRIALS, epochs=EPOCHS, workers=2)
    job = laptop.asks("submit", file)
    laptop.fusegpt("logs", "-f", SPREAD, timeout_s=ENDS_S)
    return job


def test_a_job_is_followed_to_its_end_from_a_laptop(submitted: Any, laptop: Laptop) -> None:
    assert submitted["state"] in ("queued", "starting", "running")
    job = laptop.job(SPREAD)
    assert job["state"] == "succeeded"
    assert job["result"]["model"] == "fusion_waypoints"
    assert "trial 0" in laptop.fusegpt("logs", SPREAD)


def test_its_one_trial_was_spread_over_both_worker_hosts(submitted: Any, stack: Stack, laptop: Laptop) -> None:
    assert submitted
    assert not findings(stack, laptop, SPREAD, TRIALS, EPOCHS)
    workers = stack.asks_ray("/api/v0/actors?detail=true&limit=1000")["data"]["result"]["result"]
    nodes = {worker["node_id"] for worker in workers if worker["class_name"].startswith("RayTrainWorker")}
    assert len(nodes) == 2, workers


def test_the_job_stands_in_mlflow_for_who_browses(submitted: Any, laptop: Laptop) -> None:
    assert submitted
    parent, children = in_mlflow(laptop, SPREAD)
    assert parent["tags"]["fusegpt.best_trial"] == "trial_00000"
    assert parent["tags"]["fusegpt.job"] == SPREAD
    assert f"(http://localhost:8701/#{SPREAD})" in parent["tags"]["mlflow.note.content"]
    assert len(children) == TRIALS
    best = laptop.asks("best", SPREAD)
    assert best["trial"]["id"] == "trial_00000"
    listed = laptop.runs(ASK, f"{MLFLOW}/artifacts/list?run_id={children[0]['id']}&path=model")
    assert "model/model.safetensors" in {file["path"] for file in listed["files"]}


def test_the_first_model_is_served_and_a_later_one_once_it_is_promoted(submitted: Any, laptop: Laptop) -> None:
    assert submitted
    wait_for(lambda: served(laptop) == 1, SERVED_S, "the first champion is served")
    laptop.fusegpt("submit", spec(laptop, "another-day", trials=1, epochs=1), "--follow", timeout_s=ENDS_S)
    laptop.fusegpt("promote", "fusion_waypoints", 2, "--force", timeout_s=ENDS_S)
    wait_for(lambda: served(laptop) == 2, SERVED_S, "the new champion is served")
    answer = laptop.runs(HERE / "ask_endpoint.py", "endpoint", "fusion_waypoints")
    assert answer["version"] == "2"
    over = answer["waypoints"]
    assert over["grpc"] == over["http"]
    assert len(over["http"][0]) == 4


def served(laptop: Laptop) -> int:
    """The version that answers; 0 while there is none."""
    try:
        return int(laptop.runs(ASK, MODEL)["version"])
    except AssertionError as error:
        if "HTTP Error 503" not in str(error):
            raise
        return 0


def test_without_a_token_nothing_is_told(laptop: Laptop) -> None:
    stranger = Laptop(laptop.host, "")
    stranger.fusegpt("jobs", code=4)
    with pytest.raises(AssertionError, match="HTTP Error 401"):
        served(stranger)
