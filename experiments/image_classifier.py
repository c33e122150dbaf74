"""A Vision Transformer on digits: how fine do its patches have to be?"""

from fusegpt.data.digits import DigitsData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.vision_transformer import VisionTransformerConfig
from fusegpt.search_space import Choice, Uniform
from fusegpt.tasks.classification import ClassificationConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="image_classifier",
    description="How do patches, heads, width and dropout change what a Vision Transformer sees?",
    task=ClassificationConfig(),
    model=VisionTransformerConfig(n_layer=2),
    data=DigitsData(),
    training=TrainingConfig(epochs=30, batch_size=32, lr=2e-3, warmup_fraction=0.1),
    search=SearchConfig(
        space={
            "model.patch_px": Choice(values=(4, 7, 14)),
            "model.n_head": Choice(values=(1, 2, 4, 8)),
            "model.n_embd": Choice(values=(32, 64, 128)),
            "model.resid_pdrop": Uniform(low=0.0, high=0.3),
        }
    ),
)

smoke = {
    "training.epochs": 2,
    "search.trials": 2,
}
