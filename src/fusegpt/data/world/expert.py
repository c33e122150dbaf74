"""The expert: how it steers (pure pursuit), how fast it drives (IDM under the limit of the bends), and its car.

Coulter, Implementation of the Pure Pursuit Path Tracking Algorithm, 1992.
Treiber, Hennecke and Helbing, Congested traffic states in empirical observations, Phys. Rev. E 62, 2000 (IDM).
"""

from __future__ import annotations

import numpy as np

from fusegpt.data.world.path import STEP_M, Floats, Path

WHEELBASE_M = 2.7
LENGTH_M, WIDTH_M = 4.4, 1.8
# From the rear axle, where the frame's origin is, to the middle of the car.
MIDDLE_M = 1.35
STEER_LIMIT_RAD = 0.65
STEER_RATE_RAD_S = 0.9

ACCELERATION, COMFORTABLE_BRAKING, HARDEST_BRAKING = 1.7, 2.0, 6.0
HEADWAY_S, STANDSTILL_GAP_M = 1.3, 2.5
LATERAL_ACCELERATION = 2.2


def speed_limits(path: Path, cruise_mps: float) -> Floats:
    """(N,) the speed at each point of the path that lets it slow down in time for every bend ahead."""
    bend = np.sqrt(LATERAL_ACCELERATION / np.maximum(np.abs(path.curvature), 1e-6))
    # v^2 falls by 2 b s at most: the smallest (v^2 + 2 b s) ahead decides.
    fall = 2 * COMFORTABLE_BRAKING * 0.6 * STEP_M * np.arange(len(bend))
    energy = np.minimum(bend, cruise_mps) ** 2 + fall
    ahead = np.minimum.accumulate(energy[::-1])[::-1]
    return np.asarray(np.sqrt(ahead - fall))


def follow(speed: Floats, limit: Floats, gap_m: Floats, closing: Floats) -> Floats:
    """IDM's acceleration. gap_m: bumper to bumper, inf on a free road; closing: own speed minus the leader's."""
    wished = speed * HEADWAY_S + speed * closing / (2 * np.sqrt(ACCELERATION * COMFORTABLE_BRAKING))
    wished = STANDSTILL_GAP_M + np.maximum(wished, 0.0)
    free = 1 - (speed / np.maximum(limit, 0.1)) ** 4
    acceleration = ACCELERATION * (free - (wished / np.maximum(gap_m, 0.1)) ** 2)
    return np.asarray(np.clip(acceleration, -HARDEST_BRAKING, ACCELERATION))


def steer(pose: Floats, speed: float, path: Path, s: float) -> float:
    """Pure pursuit: the angle of the front wheels that leads to a point of the path some metres ahead of `s`."""
    reach = float(np.clip(2.5 + 0.45 * speed, 3.5, 10.0))
    x, y, _ = path.at(np.array([s + reach]))[0] - np.array([pose[0], pose[1], 0.0])
    left = np.cos(pose[2]) * y - np.sin(pose[2]) * x
    return float(np.clip(np.arctan(WHEELBASE_M * 2 * left / (x * x + y * y)), -STEER_LIMIT_RAD, STEER_LIMIT_RAD))


def roll(pose: Floats, speed: float, wheel_rad: float, seconds: float) -> Floats:
    """The kinematic bicycle, moved on along its arc."""
    turned = speed * np.tan(wheel_rad) / WHEELBASE_M * seconds
    heading = pose[2] + turned / 2
    step = speed * seconds
    return np.array([pose[0] + step * np.cos(heading), pose[1] + step * np.sin(heading), pose[2] + turned])
