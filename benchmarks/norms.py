"""Which norms depend on the batch size, and which do not?

    python benchmarks/norms.py [--epochs 6] [--sizes 2,8,32,128]

Two answers, on the experiment `norms` (a small Vision Transformer on digits). What the same sample is told while
training, alone with another sample or with 127: the largest change of its logits, as a share of their spread. And
the accuracy on unseen digits after the same number of epochs with each batch size: smaller batches take more steps,
so a row tells a norm from another, not one size from another.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch

import experiments
from fusegpt.experiment import Experiment
from fusegpt.nn.config import NormName
from fusegpt.training.evaluate import evaluate
from fusegpt.training.loop import train

NAMES = get_args(NormName)


def companions(experiment: Experiment, cache: Path) -> float:
    """How much the logits of one sample change in training mode when 127 samples are with it, not one."""
    task = experiment.task.build(experiment)
    torch.manual_seed(0)
    model = task.build_model().train()
    images = task.open_splits(cache).train.batch(np.arange(128))["image"]
    with torch.no_grad():
        few, many = model(images[:2])[0], model(images)[0]
    return float((few - many).abs().max() / many.std())


def accuracy(experiment: Experiment, folder: Path, cache: Path) -> float:
    """On the test part, after training."""
    return evaluate(train(experiment, folder, cache).best, cache, "test").metrics["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--sizes", default="2,8,32,128")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    torch.set_num_threads(1)
    print("| model.norm | change by companions | " + " | ".join(f"batch {size}" for size in sizes) + " |")
    print("|---|---:|" + "---:|" * len(sizes), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            plain = experiments.load("norms").override({"model.norm": name, "training.epochs": options.epochs})
            row = [f"{companions(plain, Path(folder)):.1e}"]
            for size in sizes:
                trial = plain.override({"training.batch_size": size})
                row.append(f"{accuracy(trial, Path(folder, f'{name}-{size}'), Path(folder)):.1%}")
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
