"""How much faster is the bird's-eye-view histogram than the originals' `np.histogramdd`, at exactly equal output?

    python benchmarks/histogram.py [--points 120000] [--pairs 60]

Both run in turns in one process; the ratio is the median over the pairs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.lidar import PRESETS, histogram

Cloud = NDArray[np.float32]
GRID = PRESETS["pami2022"]


def sweep(points: int, seed: int = 0) -> Cloud:
    """A made-up sweep (N, 4) with the density of a spinning LiDAR: many points near, few far, most near the ground."""
    rng = np.random.default_rng(seed)
    distance, angle = rng.exponential(15.0, points), rng.uniform(-np.pi, np.pi, points)
    height = np.minimum(-2.5 + rng.exponential(0.6, points), 4.0)
    columns = [distance * np.cos(angle), distance * np.sin(angle), height, rng.random(points)]
    return np.stack(columns, axis=1).astype(np.float32)


def by_histogramdd(points: Cloud) -> Cloud:
    """The way of the PAMI 2022 code: one np.histogramdd for each side of the split, in its own frame."""
    x_edges, y_edges = np.linspace(-16, 16, 257), np.linspace(-32, 0, 257)
    layers = []
    for layer in (points[points[:, 2] > GRID.split_z_m], points[points[:, 2] <= GRID.split_z_m]):
        counted = np.histogramdd(layer[:, :2], bins=(x_edges, y_edges))[0]
        counted[counted > 5] = 5
        layers.append(counted / 5)
    return np.rot90(np.stack(layers).astype(np.float32), -1, axes=(1, 2)).copy()


def in_the_frame_of_2022(points: Cloud) -> Cloud:
    """x forward, y left -> x left, y backward."""
    return np.stack([points[:, 1], -points[:, 0], points[:, 2]], axis=1)


def seconds(function: Callable[[Cloud], Cloud], points: Cloud) -> float:
    start = time.perf_counter()
    function(points)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=120_000)
    parser.add_argument("--pairs", type=int, default=60)
    arguments = parser.parse_args()
    ours = sweep(arguments.points)
    theirs = in_the_frame_of_2022(ours)
    if not np.array_equal(histogram(ours, GRID), by_histogramdd(theirs)):
        raise SystemExit("the two histograms differ")
    pairs = np.array(
        [
            (seconds(by_histogramdd, theirs), seconds(lambda points: histogram(points, GRID), ours))
            for _ in range(arguments.pairs)
        ]
    )
    original, here = np.median(pairs, axis=0) * 1000
    print(f"{arguments.points} points -> {GRID.shape}, equal cell for cell, median of {arguments.pairs} pairs")
    print(f"np.histogramdd twice   {original:8.2f} ms")
    print(f"fusegpt histogram      {here:8.2f} ms")
    print(f"ratio                  {np.median(pairs[:, 0] / pairs[:, 1]):8.1f} x   (bar: 10 x)")


if __name__ == "__main__":
    main()
