"""`findings`: whether every trial of an ended search is accounted for exactly once, in the three places that keep them.

The store, the disk and MLflow are asked for each trial and each of its epochs; the registry, for the one version that
the search made; the cluster, for CPUs that are held.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks._cluster.laptop import Laptop
from benchmarks._cluster.stack import ASK, Stack

MLFLOW = "http://mlflow:5000/api/2.0/mlflow"
JOBS = "http://api:8701/v1/jobs"
METRIC = "val/ade_m"
RELEASE_S = 30.0


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with an ended search."""

    kind: Literal["lost", "doubled", "running", "held"]
    what: str


@dataclass(frozen=True)
class Entry:
    """One trial as one place has it. `epochs`: those that it knows of; once each where all is well."""

    number: int
    state: str
    epochs: Sequence[int]


def findings(stack: Stack, laptop: Laptop, name: str, trials: int, epochs: int) -> list[Finding]:
    """What is wrong with the search of a job that has ended; nothing where all its trials have run to their end."""
    job = laptop.runs(ASK, f"{JOBS}/{name}")
    runs = _runs(laptop, name)
    searches, children = [run for run in runs if _is_search(run)], [run for run in runs if not _is_search(run)]
    found = list(_of_state("the job", job["state"], job["reason"]))
    found += _of_place("the search in MLflow", [Entry(0, run["status"].lower(), ()) for run in searches], 1, 0)
    found += _of_place("the store", _in_store(laptop, name), trials, epochs)
    found += _of_place("on disk", _on_disk(stack, name), trials, epochs)
    found += _of_place("MLflow", [_in_mlflow(laptop, child) for child in children], trials, epochs)
    found += _of_registry(laptop, {child["id"] for child in children})
    return found + _of_cluster(stack)


def on_disk(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The records of a search's trials as they stand."""
    files = (stack.path("home") / "runs" / name).glob("trial_*/trial.json")
    return [json.loads(file.read_text()) for file in files]


def in_mlflow(laptop: Laptop, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one run of a search, and the runs of its trials."""
    runs = _runs(laptop, name)
    (parent,) = filter(_is_search, runs)
    return parent, [run for run in runs if run["tags"].get("mlflow.parentRunId") == parent["id"]]


def _runs(laptop: Laptop, name: str) -> list[dict[str, Any]]:
    """All runs of a search and of its trials."""
    found = laptop.runs(ASK, f"{MLFLOW}/experiments/get-by-name?experiment_name=fusion_waypoints")
    asked = {"experiment_ids": [found["experiment"]["experiment_id"]], "filter": f"tags.`fusegpt.search` = '{name}'"}
    return [plain(run) for run in laptop.runs(ASK, f"{MLFLOW}/runs/search", json.dumps(asked)).get("runs", [])]


def _is_search(run: Mapping[str, Any]) -> bool:
    return bool(run["tags"].get("fusegpt.kind") == "search")


def plain(run: Mapping[str, Any]) -> dict[str, Any]:
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    info = run["info"]
    return {"id": info["run_id"], "name": info["run_name"], "status": info["status"], "tags": tags}


def _of_state(what: str, state: str, why: str = "") -> Iterator[Finding]:
    if state == "running":
        yield Finding("running", f"{what} still runs")
    elif state not in ("succeeded", "finished"):
        yield Finding("lost", f"{what} is {state}: {why}".removesuffix(": "))


def _of_place(place: str, entries: Sequence[Entry], trials: int, epochs: int) -> Iterator[Finding]:
    times, wanted = Counter(entry.number for entry in entries), set(range(1, epochs + 1))
    yield from (Finding("lost", f"{place}: no trial {number}") for number in range(trials) if not times[number])
    yield from (Finding("doubled", f"{place}: trial {number} {n} times") for number, n in times.items() if n > 1)
    for entry in entries:
        trial = f"{place}: trial {entry.number}"
        yield from _of_state(trial, entry.state)
        if missing := wanted - set(entry.epochs):
            yield Finding("lost", f"{trial} without epochs {sorted(missing)}")
        if len(entry.epochs) > len(set(entry.epochs)):
            yield Finding("doubled", f"{trial} has epochs {sorted(entry.epochs)}")


def _of_registry(laptop: Laptop, runs: set[str]) -> Iterator[Finding]:
    """Of a search's trials one is a version of the model."""
    told = laptop.runs(ASK, f"{MLFLOW}/model-versions/search?max_results=1000")
    versions = [version["version"] for version in told.get("model_versions", []) if version["run_id"] in runs]
    if len(versions) != 1:
        yield Finding("doubled" if versions else "lost", f"the registry: versions {versions} are of its trials")


def _of_cluster(stack: Stack) -> list[Finding]:
    """CPUs that somebody holds, and goes on holding."""
    deadline = time.monotonic() + RELEASE_S
    while (cpus := _held(stack)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [Finding("held", f"{cpus:g} CPUs of the cluster")] if cpus else []


def _held(stack: Stack) -> float:
    told = stack.asks_ray("/api/cluster_status")
    used, _ = told["data"]["clusterStatus"]["loadMetricsReport"]["usage"].get("CPU", [0.0, 0.0])
    return float(used)


def _in_store(laptop: Laptop, name: str) -> list[Entry]:
    """The store keeps a trial's last epoch, which stands for those before."""
    told = laptop.runs(ASK, f"{JOBS}/{name}/trials")
    return [Entry(trial["number"], trial["state"], range(1, trial["epoch"] + 1)) for trial in told]


def _on_disk(stack: Stack, name: str) -> list[Entry]:
    return [Entry(kept["number"], kept["state"], list(map(int, kept["values"]))) for kept in on_disk(stack, name)]


def _in_mlflow(laptop: Laptop, run: Mapping[str, Any]) -> Entry:
    told = laptop.runs(ASK, f"{MLFLOW}/metrics/get-history?run_id={run['id']}&metric_key={METRIC}")
    steps = [int(point["step"]) for point in told.get("metrics", [])]
    return Entry(int(run["tags"]["fusegpt.number"]), run["status"].lower(), steps)
