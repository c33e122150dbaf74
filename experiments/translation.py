"""Translation by an encoder-decoder Transformer: what the place of the norm, the positions and the depth change."""

from fusegpt.data.dates import DatesData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.encoder_decoder import EncoderDecoderConfig
from fusegpt.search_space import Choice, LogUniform
from fusegpt.tasks.translation import TranslationConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="translation",
    description="Does an encoder-decoder Transformer read dates of many languages that it has never seen?",
    task=TranslationConfig(),
    model=EncoderDecoderConfig(),
    data=DatesData(),
    training=TrainingConfig(epochs=4, batch_size=32, lr=2e-3, warmup_fraction=0.1),
    search=SearchConfig(
        space={
            "model.norm_place": Choice(values=("pre", "post")),
            "model.positions": Choice(values=("sinusoidal", "learned")),
            "model.n_layer": Choice(values=(1, 2, 3)),
            "training.lr": LogUniform(low=5e-4, high=5e-3),
        }
    ),
)

smoke = {
    "training.epochs": 1,
    "model.n_layer": 1,
    "data.train_samples": 1000,
    "data.val_samples": 50,
    "data.test_samples": 50,
    "search.trials": 2,
}
