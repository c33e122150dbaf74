"""How many samples of the synthetic world does one core make a second, against the bar of 50?

    python benchmarks/world.py [--drives 4]

Images of 96 x 320 and sweeps of 32 x 600 rays, the making of the drives included, in processor time of one thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fusegpt.data.sample import Sample
from fusegpt.data.world.config import WorldData

BAR = 50.0


def constant_velocity_error_m(sample: Sample, horizons_s: tuple[float, ...]) -> float:
    """Mean distance of the waypoints from going straight on at the present speed."""
    guess = np.outer(np.multiply(horizons_s, sample.speed_mps), [1.0, 0.0])
    return float(np.linalg.norm(sample.waypoints - guess, axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--drives", type=int, default=4)
    arguments = parser.parse_args()
    config = WorldData(n_drives=max(arguments.drives, 3))
    reader = config.reader()
    errors, points = [], []
    start = time.process_time()
    for drive in reader.drives()[: arguments.drives]:
        for sample in reader.samples(drive):
            errors.append(constant_velocity_error_m(sample, config.horizons_s))
            points.append(len(sample.sweep))
    seconds = time.process_time() - start
    rate = len(errors) / seconds
    print(f"{'samples':<28}{len(errors):>10}")
    print(f"{'points a sweep':<28}{np.mean(points):>10.0f}")
    print(f"{'constant velocity, ADE':<28}{np.mean(errors):>8.2f} m")
    print(f"{'samples a second':<28}{rate:>10.1f}")
    print(f"{'ratio to the bar of ' + format(BAR, '.0f'):<28}{rate / BAR:>9.2f}x")


if __name__ == "__main__":
    main()
