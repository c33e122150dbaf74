"""`Traffic`: the other cars and the signals: who drives on which lane, and when which signal is red."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.world.expert import COMFORTABLE_BRAKING, LENGTH_M, speed_limits
from fusegpt.data.world.path import STEP_M, Floats, Path
from fusegpt.data.world.road import Road
from fusegpt.data.world.vehicle import Vehicle, draw_model

EGO = 0
STOP_LINE_BEFORE_M = 5.0
LATEST_BRAKING = 3.5


@dataclass(frozen=True)
class Signal:
    """A light at a stop line, `station_m` along the centreline."""

    station_m: float
    period_s: float
    red_s: float
    shift_s: float

    def red(self, time_s: float) -> bool:
        """Whether it is red now."""
        return (time_s + self.shift_s) % self.period_s < self.red_s


@dataclass(frozen=True)
class Traffic:
    """N cars; number `EGO` is the ego. `leader`: (N,) who drives before whom in its lane, -1 for nobody.

    lane: (N,) into `lanes`; pace: (N,) share of the limit that each drives; halt_s: (N, 2) when each stands still.
    """

    lanes: tuple[Path, ...]
    limits: tuple[Floats, ...]
    stops_m: tuple[Floats, ...]
    signals: tuple[Signal, ...]
    models: tuple[Vehicle, ...]
    lane: NDArray[np.int64]
    start_m: Floats
    leader: NDArray[np.int64]
    pace: Floats
    halt_s: Floats

    def limit(self, s: Floats) -> Floats:
        """How fast each wants to be where it is."""
        speed = np.empty(len(s))
        for number, limits in enumerate(self.limits):
            mine = self.lane == number
            speed[mine] = limits[np.clip((s[mine] / STEP_M).astype(int), 0, len(limits) - 1)]
        return speed * self.pace

    def poses(self, s: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """x, y, heading of each car's middle, (N, 3), and whether its lane reaches that far, (N,)."""
        poses, on_road = np.empty((len(s), 3)), np.empty(len(s), bool)
        for number, lane in enumerate(self.lanes):
            mine = self.lane == number
            poses[mine], on_road[mine] = lane.at(s[mine]), s[mine] <= lane.length_m
        return poses, on_road

    def gaps(self, s: Floats, speed: Floats, time_s: float) -> tuple[Floats, Floats]:
        """Free road before each (inf where there is no end to it) and how fast it gets shorter."""
        length = np.array([model.length_m for model in self.models])
        ahead = self.leader
        gap = np.where(ahead >= 0, s[ahead] - s - (length[ahead] + length) / 2, np.inf)
        closing = np.where(ahead >= 0, speed - speed[ahead], 0.0)
        for number, signal in enumerate(self.signals):
            if not signal.red(time_s):
                continue
            stop = np.array([self.stops_m[lane][number] for lane in self.lane])
            to_line = stop - s - length / 2 + 1.5
            obeys = (to_line > 1.0) & (to_line > speed**2 / (2 * LATEST_BRAKING)) & (to_line < gap)
            gap, closing = np.where(obeys, to_line, gap), np.where(obeys, speed, closing)
        return gap, closing

    def halted(self, time_s: float) -> NDArray[np.bool_]:
        """Who stands, or brakes to stand, without a cause on the road."""
        return (self.halt_s[:, 0] <= time_s) & (time_s < self.halt_s[:, 1])


def draw_signals(rng: np.random.Generator, road: Road) -> tuple[Signal, ...]:
    """Signals at most junctions of the street."""
    signals = []
    for junction in road.junctions:
        period, chance = float(rng.uniform(12, 22)), rng.random()
        red, shift = period * float(rng.uniform(0.3, 0.55)), float(rng.uniform(0, period))
        if chance < 0.75:
            signals.append(Signal(junction.start_m - STOP_LINE_BEFORE_M, period, red, shift))
    return tuple(signals)


def draw_traffic(
    rng: np.random.Generator, road: Road, signals: tuple[Signal, ...], ego_start_m: float, seconds: float, amount: float
) -> Traffic:
    """The cars of one drive, the ego among them, each lane filled at its own density."""
    ahead, oncoming = road.ahead(), road.oncoming()
    cruise = float(rng.uniform(8.0, 14.0))
    ego_lane = int(rng.integers(len(ahead)))
    lanes = tuple(ahead + oncoming)
    stops = [_stops(lane, road, signals) for lane in ahead] + [np.full(len(signals), -np.inf) for _ in oncoming]
    placed = [(ego_lane, ego_start_m)]
    for number, lane in enumerate(lanes):
        keep_free = ego_start_m if number == ego_lane else -np.inf
        placed += [(number, s) for s in _places(rng, lane.length_m, keep_free, amount)]
    lane_of, start = np.array([p[0] for p in placed]), np.array([p[1] for p in placed])
    count = len(placed)
    halt = np.full((count, 2), np.inf)
    stands = (rng.random(count) < 0.35) & (lane_of < len(ahead))
    stands[EGO] = False
    halt[:, 0] = np.where(stands, rng.uniform(2, seconds, count), np.inf)
    halt[:, 1] = halt[:, 0] + rng.uniform(3, 8, count)
    pace = rng.uniform(0.6, 1.05, count)
    pace[EGO] = 1.0
    models = (Vehicle(LENGTH_M, 1.8, 1.48, (0.5, 0.5, 0.5), tall=False), *(draw_model(rng) for _ in range(count - 1)))
    limits = tuple(speed_limits(lane, cruise) for lane in lanes)
    return Traffic(lanes, limits, tuple(stops), signals, models, lane_of, start, _leaders(lane_of, start), pace, halt)


def _places(rng: np.random.Generator, length_m: float, ego_m: float, amount: float) -> list[float]:
    """Where cars start on a lane; the ego has room behind and before it."""
    mean = float(np.exp(rng.uniform(np.log(18), np.log(110)))) / max(amount, 1e-9)
    places, s = [], rng.exponential(mean)
    while s < length_m:
        if not -18 < s - ego_m < 14:
            places.append(float(s))
        s += 11 + rng.exponential(mean)
    return places


def _leaders(lane: NDArray[np.int64], start: Floats) -> NDArray[np.int64]:
    order = np.lexsort((start, lane))
    leader = np.full(len(lane), -1)
    behind, before = order[:-1], order[1:]
    same = lane[behind] == lane[before]
    leader[behind[same]] = before[same]
    return leader


def _stops(lane: Path, road: Road, signals: tuple[Signal, ...]) -> Floats:
    """The stop lines of the signals along this lane."""
    at = [road.centreline.at(np.array([signal.station_m]))[0, :2] for signal in signals]
    return np.array([np.hypot(*(lane.xy - point).T).argmin() * STEP_M for point in at], float)


def brakes(speed: Floats, acceleration: Floats) -> NDArray[np.bool_]:
    """Whose brake lamps are lit: who slows down by more than the engine would, or stands."""
    return (acceleration < -0.4 * COMFORTABLE_BRAKING) | (speed < 0.2)
