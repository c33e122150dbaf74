"""`Road`: a street of straights, bends and sharp turns at junctions, with lanes in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusegpt.data.world.path import STEP_M, Floats, Path

TRANSITION_M = 6.0
CROSS_STREET_M = 70.0
HEADING_LIMIT_RAD = np.deg2rad(105)


@dataclass(frozen=True)
class Junction:
    """A crossing where the street turns sharply. `start_m`, `end_m`: where along the centreline its turn is."""

    start_m: float
    end_m: float
    arms: tuple[Path, ...]


@dataclass(frozen=True)
class Road:
    """The street of one drive. Lanes drive on the right: `ahead` the ego's way, `oncoming` the other."""

    centreline: Path
    lane_width_m: float
    lanes_each_way: int
    junctions: tuple[Junction, ...]

    @property
    def half_width_m(self) -> float:
        """From the centreline to the kerb."""
        return self.lane_width_m * self.lanes_each_way

    def lane_offsets_m(self) -> list[float]:
        """Of the lanes of one direction, from the centreline, the inner first."""
        return [self.lane_width_m * (i + 0.5) for i in range(self.lanes_each_way)]

    def ahead(self) -> list[Path]:
        """Centres of the lanes in the ego's direction, the inner first."""
        return [self.centreline.offset(-d) for d in self.lane_offsets_m()]

    def oncoming(self) -> list[Path]:
        """Centres of the lanes of the other direction, the inner first."""
        return [self.centreline.offset(d).reversed() for d in self.lane_offsets_m()]

    def streets(self) -> Floats:
        """Points (M, 2) on every centreline, the cross streets' too: what must stay free of houses."""
        return np.concatenate([self.centreline.xy, *(arm.xy for j in self.junctions for arm in j.arms)])


@dataclass(frozen=True)
class _Piece:
    """A stretch of one curvature."""

    length_m: float
    turn_rad: float
    junction: bool = False


def lay_road(rng: np.random.Generator, length_m: float) -> Road:
    """A street at least `length_m` long that starts at the origin along x."""
    lanes = int(rng.choice([1, 1, 1, 2]))
    width = float(rng.uniform(3.2, 3.8))
    pieces = _pieces(rng, length_m, width * lanes)
    centreline = _integrate(pieces)
    return Road(centreline, width, lanes, _junctions(centreline, pieces))


def _pieces(rng: np.random.Generator, length_m: float, half_width_m: float) -> list[_Piece]:
    """Straights with a bend or a junction between them, the heading never so far round that the street meets itself."""
    pieces = [_Piece(float(rng.uniform(70, 100)), 0.0)]
    heading = 0.0
    while sum(piece.length_m for piece in pieces) < length_m:
        junction = bool(rng.random() < 0.35)
        if junction:
            angle, radius = np.pi / 2, half_width_m + rng.uniform(4.5, 8.0)
        else:
            angle, radius = np.deg2rad(rng.uniform(12, 75)), np.exp(rng.uniform(np.log(18), np.log(120)))
        sign = rng.choice([-1.0, 1.0])
        if abs(heading + sign * angle) > HEADING_LIMIT_RAD:
            sign = -np.sign(heading)
        heading += sign * angle
        pieces.append(_Piece(float(radius * angle), float(sign * angle), junction))
        pieces.append(_Piece(float(rng.uniform(30, 75) if junction else rng.uniform(10, 50)), 0.0))
    return pieces


def _integrate(pieces: list[_Piece]) -> Path:
    """The curve of these pieces; a box filter over the curvature makes the transitions clothoids."""
    step = STEP_M / 2
    curvature = np.concatenate([np.full(n := round(p.length_m / step), p.turn_rad / (n * step)) for p in pieces])
    width = round(TRANSITION_M / step)
    curvature = np.convolve(curvature, np.full(width, 1.0 / width), mode="same")
    heading = np.cumsum(curvature) * step
    return Path.through(np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0))


def _junctions(centreline: Path, pieces: list[_Piece]) -> tuple[Junction, ...]:
    found, start = [], 0.0
    for piece in pieces:
        end = start + piece.length_m
        if piece.junction:
            found.append(Junction(start, end, _arms(centreline, start - TRANSITION_M, end + TRANSITION_M)))
        start = end
    return tuple(found)


def _arms(centreline: Path, start_m: float, end_m: float) -> tuple[Path, ...]:
    """The two streets that the ego does not take: straight on, and the one opposite to where it turns."""
    (x0, y0, h0), (x1, y1, h1) = centreline.at(np.array([start_m, end_m]))
    into, out = np.array([np.cos(h0), np.sin(h0)]), np.array([np.cos(h1), np.sin(h1)])
    reach = np.linalg.solve(np.stack([into, out], axis=1), np.array([x1 - x0, y1 - y0]))[0]
    corner = np.array([x0, y0]) + reach * into
    along = np.arange(0.0, CROSS_STREET_M, STEP_M)[:, None]
    return Path.through(corner + along * into), Path.through(corner - along * out)
