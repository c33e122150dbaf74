"""A recurrent network that reads a digit row by row: does an LSTM remember better than an RNN or a GRU?"""

from fusegpt.data.digits import DigitsData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.row_recurrent import RowRecurrentConfig
from fusegpt.search_space import Choice, LogUniform
from fusegpt.tasks.classification import ClassificationConfig
from fusegpt.training.config import TrainingConfig

experiment = Experiment(
    name="row_classifier",
    description="Which recurrent cell reads a digit best, row by row?",
    task=ClassificationConfig(),
    model=RowRecurrentConfig(),
    data=DigitsData(),
    training=TrainingConfig(epochs=20, batch_size=32, lr=5e-3),
    search=SearchConfig(
        space={
            "model.cell": Choice(values=("rnn", "lstm", "gru")),
            "model.n_embd": Choice(values=(32, 64, 128)),
            "model.n_layer": Choice(values=(1, 2)),
            "training.lr": LogUniform(low=1e-3, high=2e-2),
        }
    ),
)

smoke = {
    "training.epochs": 2,
    "search.trials": 2,
}
