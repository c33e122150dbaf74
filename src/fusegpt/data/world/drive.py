"""`Drive`: one drive through the world: where everything is at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusegpt.data.world import expert
from fusegpt.data.world.ground import Ground, pave
from fusegpt.data.world.path import Floats, Path
from fusegpt.data.world.road import Road, lay_road
from fusegpt.data.world.scenery import STEEL, plant
from fusegpt.data.world.solids import Solids, block, join
from fusegpt.data.world.surface import Surface
from fusegpt.data.world.traffic import EGO, Signal, Traffic, brakes, draw_signals, draw_traffic
from fusegpt.data.world.weather import Weather, forecast

TICK_S = 0.05
EGO_START_M = 60.0
SPARE_M = 90.0
FASTEST_MPS = 12.0
RED, GREEN, BLACK = (1.0, 0.10, 0.08), (0.10, 0.95, 0.45), (0.06, 0.06, 0.06)


@dataclass(frozen=True)
class Track:
    """What happened, a row a tick. pose: (T, 3) of the ego's rear axle; s, speed, acceleration: (T, N) of all cars."""

    pose: Floats
    s: Floats
    speed: Floats
    acceleration: Floats

    def at(self, values: Floats, time_s: Floats) -> Floats:
        """One of the above between its rows: (K,) times -> (K, ...)."""
        row = np.clip(np.asarray(time_s) / TICK_S, 0, len(values) - 1)
        below = np.minimum(row.astype(int), len(values) - 2)
        share = (row - below).reshape(-1, *(1,) * (values.ndim - 1))
        between: Floats = values[below] * (1 - share) + values[below + 1] * share
        return between


@dataclass(frozen=True)
class Drive:
    """A street, what stands beside it, who drives on it, and what happened."""

    road: Road
    ground: Ground
    scenery: Solids
    weather: Weather
    traffic: Traffic
    track: Track

    @property
    def route(self) -> Path:
        """The lane that the ego follows."""
        return self.traffic.lanes[int(self.traffic.lane[EGO])]

    def pose(self, time_s: Floats) -> Floats:
        """x, y, heading of the ego in the world: (K,) -> (K, 3)."""
        return self.track.at(self.track.pose, time_s)

    def solids(self, time_s: float, reach_m: float) -> Solids:
        """Everything that stands or drives within `reach_m` of the ego at this time, the ego itself left out."""
        when = np.array([time_s])
        here = self.pose(when)[0, :2]
        lamps = [_lamp(signal, self.road, time_s) for signal in self.traffic.signals]
        return join([self.scenery.within(here, reach_m), *lamps, *self._cars(when, here, reach_m)])

    def _cars(self, when: Floats, here: Floats, reach_m: float) -> list[Solids]:
        s, speed, acceleration = (
            self.track.at(values, when)[0] for values in (self.track.s, self.track.speed, self.track.acceleration)
        )
        poses, on_road = self.traffic.poses(s)
        near = on_road & (np.hypot(*(poses[:, :2] - here).T) < reach_m)
        lit = brakes(speed, acceleration)
        return [
            self.traffic.models[number].solids(poses[number], braking=bool(lit[number]))
            for number in np.flatnonzero(near)
            if number != EGO
        ]


def make_drive(rng: np.random.Generator, seconds: float, amount_of_traffic: float) -> Drive:
    """Draw a world and drive through it for `seconds`."""
    road = lay_road(rng, EGO_START_M + FASTEST_MPS * seconds + SPARE_M)
    signals = draw_signals(rng, road)
    traffic = draw_traffic(rng, road, signals, EGO_START_M, seconds, amount_of_traffic)
    ground = pave(road, np.array([signal.station_m for signal in signals]))
    posts = [_signal_post(signal, road) for signal in signals]
    return Drive(
        road, ground, join([plant(rng, road), *posts]), forecast(rng), traffic, _simulate(rng, traffic, seconds)
    )


def _simulate(rng: np.random.Generator, traffic: Traffic, seconds: float) -> Track:
    """Everybody drives: the others along their lanes, the ego with wheels and a steering angle of its own."""
    route = traffic.lanes[traffic.lane[0]]
    pose = route.at(traffic.start_m[:1] - expert.MIDDLE_M)[0]
    pose[:2] += rng.normal(0, 0.2) * np.array([-np.sin(pose[2]), np.cos(pose[2])])
    s, speed = traffic.start_m.copy(), traffic.limit(traffic.start_m) * rng.uniform(0.5, 0.9, len(traffic.start_m))
    speed[EGO] *= rng.random() > 0.35
    wheel, near = 0.0, int(s[0] * 2)
    rows = []
    for tick in range(int(np.ceil(seconds / TICK_S)) + 2):
        time_s = tick * TICK_S
        gap, closing = traffic.gaps(s, speed, time_s)
        acceleration = expert.follow(speed, traffic.limit(s), gap, closing)
        acceleration = np.where(traffic.halted(time_s), np.minimum(acceleration, -2.0), acceleration)
        acceleration = np.where((speed <= 0) & (acceleration < 0), 0.0, acceleration)
        rows.append((pose, s, speed, acceleration))
        moved = np.maximum(speed + acceleration * TICK_S, 0.0)
        s, mean, speed = s + (speed + moved) / 2 * TICK_S, (speed + moved) / 2, moved
        axle, near = route.nearest(pose[:2], near)
        wished = expert.steer(pose, float(mean[0]), route, axle)
        turn = expert.STEER_RATE_RAD_S * TICK_S
        wheel += float(np.clip(wished - wheel, -turn, turn))
        pose = expert.roll(pose, float(mean[0]), wheel, TICK_S)
        s[0] = route.nearest(pose[:2], near)[0] + expert.MIDDLE_M
    return Track(*(np.array([row[i] for row in rows]) for i in range(4)))


def _signal_place(signal: Signal, road: Road) -> Floats:
    """x, y, heading of the post: at the right kerb, beyond the stop line."""
    x, y, heading = road.centreline.at(np.array([signal.station_m + 3.0]))[0]
    right = road.half_width_m + 0.6
    return np.array([x + right * np.sin(heading), y - right * np.cos(heading), heading])


def _signal_post(signal: Signal, road: Road) -> Solids:
    x, y, heading = _signal_place(signal, road)
    post = block(np.array([x, y, 1.4]), (0.09, 0.09, 1.4), heading, Surface.POLE, STEEL, reflectance=0.5)
    return join([post, block(np.array([x, y, 3.4]), (0.18, 0.42, 0.85), heading, Surface.POLE, BLACK)])


def _lamp(signal: Signal, road: Road, time_s: float) -> Solids:
    """The lamp that is lit, on the side that the ego comes from: red above, green below."""
    x, y, heading = _signal_place(signal, road)
    red = signal.red(time_s)
    centre = np.array([x - 0.2 * np.cos(heading), y - 0.2 * np.sin(heading), 3.8 if red else 3.0])
    return block(centre, (0.05, 0.33, 0.33), heading, Surface.POLE, RED if red else GREEN, glow=True)
