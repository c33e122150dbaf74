"""`check_books`: every trial of an ended search is accounted for exactly once, in the three places that keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from laptop import Laptop, wait_for
from stack import ASK, Stack

MLFLOW = "http://mlflow:5000/api/2.0/mlflow"


def check_books(stack: Stack, laptop: Laptop, name: str, trials: int, epochs: int) -> None:
    """The store's, the disk's and MLflow's; and nothing of the cluster is held any more."""
    numbers = list(range(trials))
    told = laptop.asks("status", name)
    assert told["job"]["state"] == "succeeded", told["job"]
    assert sorted(trial["number"] for trial in told["trials"]) == numbers
    assert {trial["state"] for trial in told["trials"]} == {"finished"}
    assert {trial["epoch"] for trial in told["trials"]} == {epochs}
    kept = on_disk(stack, name)
    assert sorted(record["number"] for record in kept) == numbers
    assert {record["state"] for record in kept} == {"finished"}
    assert all(sorted(map(int, record["values"])) == list(range(1, epochs + 1)) for record in kept)
    parent, children = in_mlflow(laptop, name)
    assert parent["status"] == "FINISHED"
    assert sorted(int(child["tags"]["fusegpt.number"]) for child in children) == numbers
    assert {child["status"] for child in children} == {"FINISHED"}
    wait_for(lambda: held(stack) == 0, 30, "the CPUs that the search held are free")


def on_disk(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The records of a search's trials as they stand."""
    files = (stack.path("home") / "runs" / name).glob("trial_*/trial.json")
    return [json.loads(file.read_text()) for file in files]


def in_mlflow(laptop: Laptop, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one run of a search, and the runs of its trials."""
    found = laptop.runs(ASK, f"{MLFLOW}/experiments/get-by-name?experiment_name=fusion_waypoints")
    asked = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 1000}
    runs = [plain(run) for run in laptop.runs(ASK, f"{MLFLOW}/runs/search", json.dumps(asked))["runs"]]
    (parent,) = [run for run in runs if run["name"] == name]
    return parent, [run for run in runs if run["tags"].get("mlflow.parentRunId") == parent["id"]]


def plain(run: Mapping[str, Any]) -> dict[str, Any]:
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    info = run["info"]
    return {"id": info["run_id"], "name": info["run_name"], "status": info["status"], "tags": tags}


def held(stack: Stack) -> float:
    """CPUs of the cluster that somebody holds."""
    told = stack.asks_ray("/api/cluster_status")
    used, _ = told["data"]["clusterStatus"]["loadMetricsReport"]["usage"].get("CPU", [0.0, 0.0])
    return float(used)
