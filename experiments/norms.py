"""Five norms at four batch sizes: which of them care how many samples they see at once?"""

from fusegpt.data.digits import DigitsData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.vision_transformer import VisionTransformerConfig
from fusegpt.search_space import Choice
from fusegpt.tasks.classification import ClassificationConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="norms",
    description="Which norms depend on the batch size, and which do not?",
    task=ClassificationConfig(),
    model=VisionTransformerConfig(n_layer=2, n_embd=32),
    data=DigitsData(),
    training=TrainingConfig(epochs=12, batch_size=32, lr=3e-3, warmup_fraction=0.1),
    search=SearchConfig(
        space={
            "model.norm": Choice(values=("layernorm", "rmsnorm", "groupnorm", "instancenorm", "batchnorm")),
            "training.batch_size": Choice(values=(2, 8, 32, 128)),
        },
        # Every pair once: no settings are drawn twice.
        algorithm="random",
        trials=20,
    ),
)

smoke = {
    "training.epochs": 1,
    "search.trials": 2,
}
