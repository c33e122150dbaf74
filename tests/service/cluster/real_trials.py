"""Trials of several workers with the real training, as small as it gets, and whether they have let go."""

from __future__ import annotations

import time
from typing import Any

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, Resources, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.config import TrainingConfig


def tiny(workers: int, epochs: int = 2, **search: Any) -> Experiment:
    """A model without batch statistics or dropout, on a small piece of the synthetic world: one worker comes to the
    numbers of two."""
    encoders = {"image_encoder": "convnext_atto", "lidar_encoder": "convnext_atto"}
    dropouts = dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)
    sizes = {"n_embd": 32, "n_head": 2, "n_layer": 1, "image_anchors": (1, 2), "lidar_anchors": (2, 2)}
    return Experiment(
        name="tiny",
        task=WaypointsConfig(),
        model=FusionConfig.model_validate({**encoders, **dropouts, **sizes}),
        data=WorldData(
            n_drives=4, seconds_per_drive=6, image_height_px=32, image_width_px=64, lidar_azimuths=60, lidar_rings=4
        ),
        training=TrainingConfig(epochs=epochs, batch_size=8),
        search=SearchConfig.model_validate(search),
        resources=Resources(workers_per_trial=workers),
    )


def free_again() -> bool:
    """Whether every CPU is free and no placement group is left, within a minute."""
    import ray
    from ray.util import placement_group_table

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = {group["state"] for group in placement_group_table().values()} - {"REMOVED"}
        if ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"] and not left:
            return True
        time.sleep(0.2)
    return False
