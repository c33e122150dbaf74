"""Markov, fixed window, RNN, LSTM, GRU and GPT: the same text, the same number of samples, one setting between them."""

from fusegpt.data.text import TextData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.sequence import SequenceConfig
from fusegpt.search_space import Choice
from fusegpt.tasks.language import LanguageConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="sequence_models",
    description="What does each kind of memory save: a pair, a window, a recurrent state, attention?",
    task=LanguageConfig(),
    model=SequenceConfig(block_size=64),
    data=TextData(block_size=64),
    training=TrainingConfig(epochs=3, batch_size=16, lr=2e-3, weight_decay=0.1, warmup_fraction=0.1),
    search=SearchConfig(
        space={"model.cell": Choice(values=("markov", "window", "rnn", "lstm", "gru", "gpt"))},
        algorithm="random",
        trials=12,
    ),
)

smoke = {
    "training.epochs": 1,
    "training.batch_size": 128,
    "model.n_layer": 1,
    "model.n_embd": 32,
    "task.sampling.max_new_tokens": 20,
    "search.trials": 2,
}
