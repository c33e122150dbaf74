"""The fusion GPT on waypoints: how n_head, n_embd and the three dropouts change what a fusion transformer drives.

Small on purpose: a trial takes well under a minute on one CPU core. Many short drives teach more than few long ones:
what is held out are streets that were never seen. The encoders are the smallest of the family's own RegNets.
"""

from fusegpt.data.lidar import BevGrid
from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import Choice, Integer, Uniform
from fusegpt.tasks.waypoints import WaypointsConfig
from fusegpt.training.config import TrainingConfig

dropout = Uniform(low=0.0, high=0.3)

experiment = Experiment(
    name="fusion_waypoints",
    description="How do n_head, n_embd and the dropouts change a fusion transformer's driving?",
    task=WaypointsConfig(),
    model=FusionConfig(
        image_encoder="regnety_002",
        lidar_encoder="regnety_002",
        stages=(3, 4),
        image_anchors=(2, 6),
        lidar_anchors=(4, 4),
        n_embd=64,
        waypoint_prior="constant_velocity",
    ),
    data=WorldData(
        n_drives=64,
        seconds_per_drive=8.0,
        rate_hz=2.0,
        image_height_px=64,
        image_width_px=192,
        lidar=BevGrid(px_per_m=2.0),
        flip_probability=0.5,
    ),
    training=TrainingConfig(epochs=3, batch_size=16, lr=2e-3),
    search=SearchConfig(
        space={
            "model.n_head": Choice(values=(1, 2, 4, 8)),
            "model.n_embd": Integer(low=32, high=192, step=32),
            "model.embd_pdrop": dropout,
            "model.attn_pdrop": dropout,
            "model.resid_pdrop": dropout,
        },
        trials=8,
    ),
)

smoke = {
    "training.epochs": 1,
    "data.n_drives": 6,
    "data.seconds_per_drive": 6.0,
    "data.lidar_azimuths": 240,
    "search.trials": 2,
}
