"""The fusion GPT on waypoints: how n_head, n_embd and the three dropouts change what a fusion transformer drives."""

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import Choice, Integer
from fusegpt.tasks.waypoints import WaypointsConfig

experiment = Experiment(
    name="fusion_waypoints",
    description="How do n_head, n_embd and the dropouts change a fusion transformer's driving?",
    task=WaypointsConfig(),
    model=FusionConfig(),
    data=WorldData(),
    search=SearchConfig(
        space={
            "model.n_head": Choice(values=(1, 2, 4, 8)),
            "model.n_embd": Integer(low=64, high=256, step=32),
        }
    ),
)
