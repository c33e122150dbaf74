"""What does the batch size change for each norm: the error, and what one sample's companions do to it?

    fusegpt tune norms_fusion --set data.n_drives=24 --set training.epochs=2 --name norms-fusion --no-promote
    python -m benchmarks.norms_by_batch norms-fusion --to docs/images/norms_fusion.png

Reads what a search over `model.norm`, `training.batch_size` and `training.seed` has left in its folder, and trains
nothing. The first table is each pair's metric after its last epoch, over the seeds. For the second, the model of each
norm judges the same samples in batches that are dealt out anew, its norms as in training and the rest as it is served:
by how much does a sample's own figure move when only its companions change?
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.figures.style import ABOVE, BASELINE, PREDICTION, TARGET, TRUTH, Sheet, labelled
from fusegpt.nn.config import NormName
from fusegpt.nn.norm import TokenBatchNorm, TokenGroupNorm, TokenInstanceNorm
from fusegpt.predictor import Predictor
from fusegpt.tasks.task import Split
from service.cluster.record import TrialRecord, read_search, read_trials, trial_folder
from service.events import Search
from service.settings import Settings

NORM, SIZE, SEED = "model.norm", "training.batch_size", "training.seed"
NORMS = (nn.LayerNorm, nn.RMSNorm, TokenGroupNorm, TokenInstanceNorm, TokenBatchNorm)
COLOURS = dict(zip(get_args(NormName), (ABOVE, TARGET, BASELINE, TRUTH, PREDICTION), strict=True))
SAMPLES, ROUNDS = 64, 5  # whole batches of every size; how often they are dealt out
WIDTH_PX, HEIGHT_PX, EDGE_PX = 680, 360, 64

Scores = Mapping[tuple[str, int], list[float]]  # by norm and batch size, one of each seed


def scores_of(records: Sequence[TrialRecord]) -> dict[tuple[str, int], list[float]]:
    """The metric after the last epoch of every trial that finished. Raises ValueError where there is none."""
    scores: dict[tuple[str, int], list[float]] = {}
    for record in sorted(records, key=lambda record: record.drawn.get(SEED, 0)):
        if record.state == "finished":
            scores.setdefault((record.drawn[NORM], record.drawn[SIZE]), []).append(record.values[record.epoch])
    if not scores:
        raise ValueError("no trial of this search has finished")
    return scores


def moved(predictor: Predictor, split: Split, figure: str, size: int, training: bool) -> float:
    """By how much a sample's figure moves when its companions change: highest minus lowest, the mean over samples."""
    for module in predictor.model.modules():
        if isinstance(module, NORMS):
            module.train(training)
    rng = np.random.default_rng(0)
    rounds = np.stack([_judged(predictor, split, figure, size, rng) for _ in range(ROUNDS)])  # (ROUNDS, SAMPLES)
    return float(np.ptp(rounds, axis=0).mean())


def _judged(
    predictor: Predictor, split: Split, figure: str, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Each sample's figure, (SAMPLES,), in batches of `size` dealt out by `rng`."""
    order = rng.permutation(SAMPLES)
    with torch.no_grad():
        batches = [split.batch(rows) for rows in order.reshape(-1, size)]
        told = [predictor.task.metrics(predictor.model, batch)[figure].numpy() for batch in batches]
    each = np.empty(SAMPLES)
    each[order] = np.concatenate(told)
    return each


def _companions(search: Search, records: Sequence[TrialRecord], norm: str, sizes: list[int], cache: Path) -> list[str]:
    """A row of the second table, from the model of this norm's first trial with the middle batch size."""
    size = sizes[len(sizes) // 2]
    record = next(r for r in records if r.state == "finished" and (r.drawn[NORM], r.drawn[SIZE]) == (norm, size))
    predictor = Predictor.load(trial_folder(search, record.number) / "best")
    split, figure = predictor.task.open_splits(cache).val, search.metric.removeprefix("val/")
    served = moved(predictor, split, figure, sizes[0], training=False)
    return [f"{value:.4f}" for value in [*(moved(predictor, split, figure, s, training=True) for s in sizes), served]]


def draw(scores: Scores, metric: str, path: Path) -> Path:
    """A line a norm over the batch size, through the mean of its seeds, each of which is a dot."""
    sheet = Sheet(WIDTH_PX, HEIGHT_PX)
    axes = sheet.axes(EDGE_PX, EDGE_PX, WIDTH_PX - EDGE_PX - 150, HEIGHT_PX - 2 * EDGE_PX)
    sizes = sorted({size for _, size in scores})
    for norm in (norm for norm in COLOURS if any(name == norm for name, _ in scores)):
        has = [size for size in sizes if (norm, size) in scores]
        axes.plot(has, [np.mean(scores[norm, size]) for size in has], color=COLOURS[norm], label=norm, linewidth=1.8)
        dots = [(size, value) for size in has for value in scores[norm, size]]
        x, y = zip(*dots, strict=True)
        axes.scatter(x, y, color=COLOURS[norm], s=16, zorder=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    labelled(axes, SIZE, metric, "A line a norm, a dot a seed")
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    return sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("search", nargs="?", default="", help="the search's name")
    parser.add_argument("--to", type=Path, help="where the picture goes; none when left out")
    asked, settings = parser.parse_args(), Settings.read()
    if not asked.search:  # among all benchmarks, which take nothing
        print("tells of a search that was made: fusegpt tune norms_fusion --name NAME, then name it here")
        return
    torch.set_num_threads(1)
    search = read_search(settings.runs / asked.search)
    records = read_trials(search)
    scores = scores_of(records)
    norms, sizes = [name for name in COLOURS if any(n == name for n, _ in scores)], sorted({s for _, s in scores})
    print(f"{search.metric} after the last epoch: the mean of the seeds, and each of them\n")
    _head([f"batch {size}" for size in sizes])
    for norm in norms:
        _row(norm, [_cell(scores.get((norm, size), [])) for size in sizes])
    print(f"\nHow far a sample's {search.metric.removeprefix('val/')} moves with its companions in the batch\n")
    _head([*(f"batch {size}" for size in sizes), "as served"])
    for norm in norms:
        _row(norm, _companions(search, records, norm, sizes, settings.cache))
    if asked.to:
        print(f"\n{draw(scores, search.metric, asked.to)}")


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})" if values else ""


def _head(columns: list[str]) -> None:
    print("| `model.norm` | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns), flush=True)


def _row(norm: str, cells: list[str]) -> None:
    print(f"| `{norm}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
