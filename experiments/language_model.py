"""A small GPT-2 on text: how depth, width, heads and dropout change what it needs for a byte."""

from fusegpt.data.text import TextData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.gpt import GPTConfig
from fusegpt.search_space import Choice, Integer, LogUniform, Uniform
from fusegpt.tasks.language import LanguageConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="language_model",
    description="How many bits does a small GPT-2 need for a byte of English, and what makes it fewer?",
    task=LanguageConfig(),
    model=GPTConfig(block_size=64, n_layer=4, n_head=4, n_embd=128, embd_pdrop=0.1, resid_pdrop=0.1),
    data=TextData(tokenizer="bpe", vocab_size=1024, block_size=64),
    training=TrainingConfig(epochs=10, batch_size=8, lr=2e-3, weight_decay=0.1, warmup_fraction=0.1),
    search=SearchConfig(
        space={
            "model.n_layer": Integer(low=2, high=6),
            "model.n_head": Choice(values=(1, 2, 4, 8)),
            "model.n_embd": Integer(low=64, high=256, step=32),
            "model.resid_pdrop": Uniform(low=0.0, high=0.3),
            "training.lr": LogUniform(low=3e-4, high=1e-2),
        }
    ),
)

smoke = {
    "training.epochs": 1,
    "training.batch_size": 64,
    "model.n_layer": 1,
    "model.n_embd": 32,
    "data.vocab_size": 512,
    "task.sampling.max_new_tokens": 20,
    "search.trials": 2,
}
