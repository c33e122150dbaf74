"""How many epochs does early stopping need for what random search reaches with all of its own?

ASHA tries the same settings in the same order; tpe and bohb stop early too, and learn what to try. The search's own
`Draws` and `Rungs` decide, on learning curves in closed form; a virtual clock moves the slots, so nothing is trained
and no Ray is needed. Random search trains so many trials to their end; the others go on drawing until they have
reached that search's best. What the searches see is noisy; how good a model is, is judged without the noise.

Reached is what differs from it by less than the noise of a figure (0.01); `--exactly` asks for the same or better.

How much the curves cross decides how well early stopping can do: with 0 all fall at one speed, and who is best early
is best; with 1 the speed doubles with every factor of ten in the rate, so that what learns fast ends badly.

    python -m benchmarks.asha_against_random [--seeds 20] [--trials 32] [--epochs 27] [--slots 4] [--grace 1]
        [--crossing 0 0.1 0.3] [--algorithms asha tpe bohb] [--exactly]
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import Domain, Integer, LogUniform, Uniform
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.config import TrainingConfig
from service.cluster.draws import Draws
from service.cluster.rungs import Rungs

NOISE = 0.01
MOST = 100_000  # trials that ASHA may draw; it is given up after as many epochs as random search took

Curve = Callable[[int], tuple[float, float]]


def experiment(algorithm: str, seed: int, epochs: int) -> Experiment:
    space: dict[str, Domain] = {
        "training.lr": LogUniform(low=1e-5, high=1e-1),
        "model.n_embd": Integer(low=64, high=512, step=64),
        "model.resid_pdrop": Uniform(low=0.0, high=0.5),
    }
    return Experiment(
        name="curves",
        task=WaypointsConfig(),
        model=FusionConfig(n_embd=64),
        data=WorldData(),
        training=TrainingConfig(epochs=epochs, lr=1e-2),
        search=SearchConfig.model_validate({"space": space, "algorithm": algorithm, "seed": seed}),
    )


def curve(drawn: dict[str, Any], seed: int, number: int, crossing: float) -> Curve:
    """The error after an epoch, and what is seen of it: where it ends, how far above it begins, how fast it falls."""
    rate, width, dropout = math.log10(drawn["training.lr"]), drawn["model.n_embd"], drawn["model.resid_pdrop"]
    end = 0.3 + 0.08 * (rate + 3) ** 2 + 0.05 * abs(math.log2(width / 320)) + 0.6 * (dropout - 0.15) ** 2
    fall = 0.3 * 2 ** (crossing * (rate + 3)) * (320 / width) ** (crossing / 2)
    noise = np.random.default_rng([seed, number]).normal(0.0, NOISE, 1000)

    def at(epoch: int) -> tuple[float, float]:
        error = float(end + 1.5 * math.exp(-fall * epoch))
        return error, error + float(noise[epoch])

    return at


class Run:
    """A search on a virtual clock. Iterating gives, after each epoch of any trial, the epochs so far and its error."""

    def __init__(self, algorithm: str, seed: int, asked: argparse.Namespace, crossing: float, trials: int) -> None:
        self._seed, self._epochs, self._slots, self._crossing = seed, asked.epochs, asked.slots, crossing
        self._draws, self._trials = Draws(experiment(algorithm, seed, asked.epochs), "min"), trials
        brackets = algorithm == "bohb"
        self._rungs = None if algorithm == "random" else Rungs("min", asked.epochs, asked.grace, 3, brackets, seed)
        self._begun = 0
        self._clock: list[tuple[float, int]] = []
        self._running: dict[int, tuple[dict[str, Any], dict[int, float], Curve]] = {}

    def __iter__(self) -> Iterator[tuple[int, float]]:
        for _ in range(self._slots):
            self._begin(0.0)
        spent = 0
        while self._clock:
            now, number = heapq.heappop(self._clock)
            drawn, values, at = self._running[number]
            epoch = len(values) + 1
            error, values[epoch] = at(epoch)
            spent += 1
            yield spent, error
            if epoch < self._epochs and (self._rungs is None or self._rungs.goes_on(number, epoch, values[epoch])):
                heapq.heappush(self._clock, (now + 1, number))
                continue
            del self._running[number]
            self._draws.tell(drawn, values, stopped=epoch < self._epochs)
            self._begin(now)

    def _begin(self, now: float) -> None:
        if self._begun < self._trials:
            drawn = self._draws.draw(self._begun)
            self._running[self._begun] = drawn, {}, curve(drawn, self._seed, self._begun, self._crossing)
            heapq.heappush(self._clock, (now + 1, self._begun))
            self._begun += 1


def share(algorithm: str, seed: int, asked: argparse.Namespace, crossing: float) -> float:
    """The epochs until random search's best was reached, as a share of that one's; infinite where it took more."""
    told = list(Run("random", seed, asked, crossing, asked.trials))
    best, random = min(value for _, value in told), len(told)
    for spent, value in Run(algorithm, seed, asked, crossing, MOST):
        if value <= best + (0.0 if asked.exactly else NOISE):
            return spent / random
        if spent >= random:
            break
    return math.inf


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--crossing", type=float, nargs="+", default=[0.0, 0.1, 0.3])
    parser.add_argument("--grace", type=int, default=1)
    parser.add_argument("--exactly", action="store_true")
    parser.add_argument("--algorithms", nargs="+", default=["asha", "tpe", "bohb"])
    asked = parser.parse_args()
    print(f"random: {asked.trials} trials of {asked.epochs} epochs, on {asked.slots} slots; seeds 0-{asked.seeds - 1}")
    print("crossing   algorithm   median share   largest   within 1/3")
    for crossing in asked.crossing:
        for algorithm in asked.algorithms:
            shares = [share(algorithm, seed, asked, crossing) for seed in range(asked.seeds)]
            within = f"{sum(one <= 1 / 3 for one in shares)} of {len(shares)}"
            middle, largest = _written(median(shares)), _written(max(shares))
            print(f"{crossing:8.1f}   {algorithm:<9}   {middle:>12}   {largest:>7}   {within}", flush=True)


def _written(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "over 1"


if __name__ == "__main__":
    main()
