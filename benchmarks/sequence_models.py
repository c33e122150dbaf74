"""What does each kind of memory save? Markov, window, RNN, LSTM, GRU and GPT on one text, as one table.

Every cell is trained by the recipe of experiments/sequence_models.py, one after the other on the CPU.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

import experiments
from fusegpt.predictor import Predictor
from fusegpt.search_space import Choice
from fusegpt.training.evaluate import evaluate
from fusegpt.training.loop import train


def main() -> None:
    torch.set_num_threads(1)
    recipe = experiments.load("sequence_models")
    cells = recipe.search.space["model.cell"]
    assert isinstance(cells, Choice)
    print("| cell | parameters | bits per byte, validation | test | seconds of training |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for cell in cells.values:
            print(_row(str(cell), Path(folder)), flush=True)


def _row(cell: str, folder: Path) -> str:
    experiment = experiments.load("sequence_models").override({"model.cell": cell})
    began = time.perf_counter()
    result = train(experiment, folder / cell, folder / "cache")
    seconds = time.perf_counter() - began
    model = Predictor.load(result.best).model
    # What a counted model has learnt are its counts, which are no parameters.
    size = sum(tensor.numel() for name, tensor in model.state_dict().items() if "vocabulary" not in name)
    test = evaluate(result.best, folder / "cache", "test").metrics["bits_per_byte"]
    return f"| {cell} | {size:,} | {result.metrics['val/bits_per_byte']:.3f} | {test:.3f} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
