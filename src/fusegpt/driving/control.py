"""`WaypointFollower`: waypoints and speed -> steering, throttle and brake, by two PID controllers.

Chitta et al., TransFuser, PAMI 2022. Frame: x forward, y left, metres, origin at the LiDAR.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from fusegpt.config import Config


class Gains(Config):
    """One PID controller."""

    p: float = Field(description="Gain of the error.")
    i: float = Field(description="Gain of the error's mean over the window.")
    d: float = Field(description="Gain of the error's last change.")
    window: int = Field(default=20, ge=2, description="How many of the last errors the mean is over.")


class ControlConfig(Config):
    """How waypoints are followed. The defaults are those of the PAMI 2022 code, at two controls a second or more."""

    turn: Gains = Field(default=Gains(p=1.25, i=0.75, d=0.3), description="Angle to the waypoints -> steering.")
    speed: Gains = Field(default=Gains(p=5.0, i=0.5, d=1.0), description="Missing speed -> throttle.")
    waypoint_interval_s: float = Field(default=0.5, gt=0, description="Seconds between the first two waypoints.")
    lidar_x_m: float = Field(default=0.0, description="How far ahead of the vehicle's origin the LiDAR is.")
    brake_speed_mps: float = Field(default=0.4, ge=0, description="Brake where the wanted speed is below this.")
    brake_ratio: float = Field(default=1.1, gt=0, description="Brake where speed / wanted speed is above this.")
    max_speed_error_mps: float = Field(default=0.25, gt=0, description="Largest missing speed that counts.")
    max_throttle: float = Field(default=0.75, gt=0, le=1, description="Largest throttle.")
    standstill_mps: float = Field(default=0.01, ge=0, description="Below this speed steering collects no error.")
    creep_speed_mps: float = Field(default=4.0, gt=0, description="Wanted speed where the vehicle is stuck.")


@dataclass(frozen=True)
class Control:
    """What to do now. steer: -1 (full left) to 1 (full right); throttle: 0 to 1; brake: fully or not at all."""

    steer: float
    throttle: float
    brake: bool


class PIDController:
    """error -> p * error + i * mean of the window + d * last change. The window starts full of zeros."""

    def __init__(self, gains: Gains) -> None:
        self._gains = gains
        self._window = deque([0.0] * gains.window, maxlen=gains.window)

    def step(self, error: float) -> float:
        change = error - self._window[-1]
        self._window.append(error)
        mean = math.fsum(self._window) / len(self._window)
        return self._gains.p * error + self._gains.i * mean + self._gains.d * change


class WaypointFollower:
    """Follows waypoints from step to step; each vehicle has its own, as the controllers remember."""

    def __init__(self, config: ControlConfig | None = None) -> None:
        self._config = config or ControlConfig()
        self._turn = PIDController(self._config.turn)
        self._speed = PIDController(self._config.speed)

    def step(self, waypoints: ArrayLike, speed_mps: float, stuck: bool = False) -> Control:
        """waypoints (T >= 2, 2) in metres and the present speed -> what to do now.

        `stuck` asks for the creeping speed whatever the waypoints say. Raises ValueError for another shape.
        """
        first, second = _first_two(waypoints, self._config.lidar_x_m)
        wanted = self._config.creep_speed_mps if stuck else math.dist(first, second) / self._config.waypoint_interval_s
        brake = self._brakes(wanted, speed_mps)
        missing = min(max(wanted - speed_mps, 0.0), self._config.max_speed_error_mps)
        throttle = min(max(self._speed.step(missing), 0.0), self._config.max_throttle)
        # Standing or braking, the angle says nothing about steering and must not fill the window.
        still = brake or speed_mps < self._config.standstill_mps
        steer = self._turn.step(0.0 if still else _angle(first, second))
        return Control(steer=min(max(steer, -1.0), 1.0), throttle=0.0 if brake else throttle, brake=brake)

    def _brakes(self, wanted: float, speed_mps: float) -> bool:
        return wanted < self._config.brake_speed_mps or speed_mps > self._config.brake_ratio * wanted


def control(waypoints: ArrayLike, speed_mps: float, config: ControlConfig | None = None) -> Control:
    """What a follower without a past would do: for one frame by itself."""
    return WaypointFollower(config).step(waypoints, speed_mps)


def _first_two(waypoints: ArrayLike, lidar_x_m: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The first two waypoints, from the vehicle's origin."""
    points = np.asarray(waypoints, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 2:
        raise ValueError(f"waypoints: has shape {points.shape}; two or more points (T, 2) are needed")
    (ax, ay), (bx, by) = points[:2].tolist()
    return (ax + lidar_x_m, ay), (bx + lidar_x_m, by)


def _angle(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The angle to the middle of two points in quarter turns, positive to the right."""
    x, y = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
    return -math.degrees(math.atan2(y, x)) / 90
