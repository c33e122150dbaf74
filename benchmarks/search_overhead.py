"""How much longer does a search take than its trials would, side by side on as many slots?

The trials do nothing but take time. Ideal is their seconds divided by the slots; the ratio is what placing them,
hearing of them, keeping their records and reusing their processes costs. The start of Ray is told apart.

    python -m benchmarks.search_overhead [--trials 200] [--seconds 0.5] [--slots 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment, SearchConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.search_space import Uniform
from fusegpt.tasks import WaypointsConfig
from fusegpt.training.config import TrainingConfig
from fusegpt.training.report import Report, Result
from service.cluster.local_ray import connect
from service.cluster.tune import search
from service.events import Search
from service.settings import Settings


def experiment(trials: int) -> Experiment:
    return Experiment(
        name="simulated",
        task=WaypointsConfig(),
        model=FusionConfig(),
        data=WorldData(),
        training=TrainingConfig(epochs=1),
        search=SearchConfig(space={"training.lr": Uniform(low=1e-4, high=1e-2)}, trials=trials, algorithm="random"),
    )


def simulated(seconds: float) -> Callable[..., Result]:
    """A training that takes `seconds` and nothing else."""

    def run(
        _experiment: Experiment,
        folder: Path,
        _cache: Path,
        report: Callable[[Report], None],
        _should_stop: Callable[[], bool],
    ) -> Result:
        time.sleep(seconds)
        report(Report(1, 1, 1, 1, {"val/ade_m": 1.0}, folder))
        return Result({"val/ade_m": 1.0}, 1, 1, 1, folder, stopped=False)

    return run


def measure(settings: Settings, name: str, trials: int, seconds: float) -> float:
    """The seconds that a search takes."""
    asked = Search(name, experiment(trials), settings.runs / name, "val/ade_m", "min")
    start = time.perf_counter()
    done = search(asked, settings, [], run_trial=simulated(seconds))
    took = time.perf_counter() - start
    assert [trial.state for trial in done] == ["finished"] * trials
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--slots", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), tracking_uri="")
        start = time.perf_counter()
        with connect(settings, cpus=asked.slots):
            started = time.perf_counter() - start
            first = measure(settings, "first", asked.slots, 0.0)
            took = measure(settings, "all", asked.trials, asked.seconds)
    ideal = asked.trials * asked.seconds / asked.slots
    print(f"start of Ray           {started:7.2f} s")
    print(f"start of the trials    {first:7.2f} s  (a search of {asked.slots} empty trials, with imports)")
    print(
        f"search                 {took:7.2f} s  ({asked.trials} trials of {asked.seconds:g} s on {asked.slots} slots)"
    )
    print(f"ideal                  {ideal:7.2f} s")
    print(
        f"ratio                  {took / ideal:7.2f}    ({(took - ideal) * asked.slots / asked.trials:.3f} s a trial)"
    )


if __name__ == "__main__":
    main()
