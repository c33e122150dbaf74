"""Which norms depend on the batch size, and which do not?

    python benchmarks/norms.py [--sizes 1,2,8,32,128]      # sizes that divide 256

Trains the experiment `norms` (a small Vision Transformer on digits, no dropout) once with each norm. Then each model,
its weights unchanged, names the same 256 digits of the test as it sees them while training, in batches of each size,
and last as it is served (evaluation). What differs within a row is the batch alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch

import experiments
from fusegpt.nn.config import NormName
from fusegpt.predictor import Predictor
from fusegpt.tasks.task import Split
from fusegpt.training.loop import train

SAMPLES = 256  # of the test's 270: whole batches of every size


def judged(predictor: Predictor, split: Split, size: int, training: bool) -> float:
    """The accuracy in batches of `size`, in training mode or in evaluation."""
    batches = np.arange(SAMPLES).reshape(-1, size)
    predictor.model.train(training)
    with torch.no_grad():
        right = [predictor.task.metrics(predictor.model, split.batch(rows))["accuracy"] for rows in batches]
    return float(torch.cat(right).mean())


def row(name: str, sizes: list[int], cache: Path) -> list[float]:
    """The accuracies of one norm: in training with each batch size, then in evaluation."""
    experiment = experiments.load("norms").override({"model.norm": name})
    best = train(experiment, cache / name, cache).best
    test = Predictor.load(best).task.open_splits(cache).test
    # Loaded anew each time: training mode moves the running statistics of batchnorm.
    figures = [judged(Predictor.load(best), test, size, training=True) for size in sizes]
    return [*figures, judged(Predictor.load(best), test, SAMPLES, training=False)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="1,2,8,32,128")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    torch.set_num_threads(1)
    print("| model.norm | " + " | ".join(f"batch {size}" for size in sizes) + " | evaluation |")
    print("|---|" + "---:|" * (len(sizes) + 1), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in get_args(NormName):
            figures = row(name, sizes, Path(folder))
            print(f"| `{name}` | " + " | ".join(f"{figure:.1%}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
