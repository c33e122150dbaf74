"""Text to image: a discrete VAE and a GPT over its codes draw combinations of shapes that they have never seen."""

from fusegpt.data.shapes import ShapesData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.text_to_image import TextToImageConfig
from fusegpt.search_space import Choice, LogUniform, Uniform
from fusegpt.tasks.text_to_image import TextToImageTaskConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="text_to_image",
    description="Does a GPT over the codes of a discrete VAE draw what a caption says that it has never read?",
    task=TextToImageTaskConfig(guidance=1.5),
    model=TextToImageConfig(),
    # Ever new pictures: with 8,000 seen 30 times it came to less than half of this recipe's accuracy.
    data=ShapesData(train_samples=48_000),
    # Models as small as this are slower in bf16.
    training=TrainingConfig(epochs=8, batch_size=16, lr=4e-3, weight_decay=0.0, precision="fp32"),
    search=SearchConfig(
        space={
            "model.codes": Choice(values=(32, 64, 128, 256)),
            "model.n_layer": Choice(values=(2, 3, 4, 6)),
            "model.n_head": Choice(values=(1, 2, 4, 8)),
            "model.caption_pdrop": Uniform(low=0.05, high=0.3),
            "training.lr": LogUniform(low=5e-4, high=1e-2),
        }
    ),
)

smoke = {
    "training.epochs": 1,
    "data.train_samples": 1000,
    "data.val_samples": 20,
    "data.test_samples": 20,
    "model.vae_steps": 16,
    "model.n_layer": 1,
    "model.n_embd": 32,
    "search.trials": 2,
}
