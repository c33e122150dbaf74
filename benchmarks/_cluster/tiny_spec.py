"""`spec`: the smallest search that is a real one, as a file on a laptop."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks._cluster.laptop import Laptop

# Small enough that a trial is a matter of seconds; every part is the real one.
TINY = {
    "data.n_drives": 4, "data.seconds_per_drive": 6, "data.image_height_px": 32, "data.image_width_px": 64,
    "data.lidar_azimuths": 60, "data.lidar_rings": 4, "model.image_encoder": "convnext_atto",
    "model.lidar_encoder": "convnext_atto", "model.stages": [4], "model.n_embd": 32, "model.n_head": 2,
    "model.n_layer": 1, "model.image_anchors": [1, 2], "model.lidar_anchors": [2, 2],
}  # fmt: skip
SPACE = {"model.attn_pdrop": {"low": 0.0, "high": 0.3}}


def spec(laptop: Laptop, name: str, *, trials: int, epochs: int, workers: int = 1) -> Path:
    """A spec file on a laptop."""
    written = {
        "experiment": "fusion_waypoints",
        "name": name,
        "set": {**TINY, "training.epochs": epochs},
        "search": {"space": SPACE, "trials": trials, "algorithm": "random"},
        "resources": {"workers_per_trial": workers, "cpus_per_worker": 1},
    }
    file = laptop.host.folder / f"{name}.json"
    file.write_text(json.dumps(written))
    return file
