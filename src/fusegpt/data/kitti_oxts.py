"""KITTI's GPS/IMU records (oxts) of one drive -> the poses of its LiDAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.recording import BrokenFileError, read_bytes

Float = NDArray[np.float64]

EARTH_RADIUS_M = 6378137.0
COLUMNS = 30
# What is read of the 30 columns; the others may be NaN.
LATITUDE, LONGITUDE, ALTITUDE, ROLL, PITCH, YAW, SPEED = 0, 1, 2, 3, 4, 5, 8
NEEDED = {"dead_reckoning": (ROLL, PITCH, YAW, SPEED), "gps": (LATITUDE, LONGITUDE, ALTITUDE, ROLL, PITCH, YAW, SPEED)}


@dataclass(frozen=True)
class Motion:
    """The sound records of one drive. frames: (N,) their numbers; times_s: (N,) ascending, from the drive's first
    timestamp; records: (N, 30)."""

    frames: NDArray[np.int64]
    times_s: Float
    records: Float

    def poses(self, imu_to_velo: Float, by: str) -> Float:
        """(N, 4, 4): the LiDAR at each record -> a fixed frame, metres."""
        positions = mercator(self.records) if by == "gps" else dead_reckoned(self.times_s, self.records)
        poses = np.tile(np.eye(4), (len(self.records), 1, 1))
        poses[:, :3, :3] = rotations(self.records[:, ROLL], self.records[:, PITCH], self.records[:, YAW])
        poses[:, :3, 3] = positions
        seen: Float = poses @ np.linalg.inv(imu_to_velo)  # LiDAR -> IMU -> fixed
        return seen


def rotations(roll: Float, pitch: Float, yaw: Float) -> Float:
    """(N,) each, radians -> (N, 3, 3) = Rz(yaw) Ry(pitch) Rx(roll), as KITTI's devkit composes them."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(angle), np.sin(angle)) for angle in (roll, pitch, yaw))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.moveaxis(np.array(rows), 2, 0)  # (3, 3, N) -> (N, 3, 3)


def mercator(records: Float) -> Float:
    """(N, 30) -> (N, 3) metres: the Mercator projection of KITTI's devkit, scaled at the first latitude."""
    scale = np.cos(np.deg2rad(records[0, LATITUDE]))
    east = scale * EARTH_RADIUS_M * np.deg2rad(records[:, LONGITUDE])
    north = scale * EARTH_RADIUS_M * np.log(np.tan(np.pi * (90 + records[:, LATITUDE]) / 360))
    positions = np.stack([east, north, records[:, ALTITUDE]], axis=1)
    moved: Float = positions - positions[0]
    return moved


def dead_reckoned(times_s: Float, records: Float) -> Float:
    """(N,) and (N, 30) -> (N, 3) metres: the measured forward speed along the measured yaw and pitch, by trapezia."""
    yaw, pitch, speed = records[:, YAW], records[:, PITCH], records[:, SPEED]
    ahead = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)], axis=1)
    velocity = speed[:, None] * ahead
    steps = (velocity[1:] + velocity[:-1]) / 2 * np.diff(times_s)[:, None]
    return np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])


def read_record(path: Path, needed: Sequence[int]) -> Float:
    """(30,) with the columns `needed` finite. Raises BrokenFileError."""
    words = read_bytes(path).split()
    if len(words) != COLUMNS:
        raise BrokenFileError(path, f"holds {len(words)} numbers, not {COLUMNS}")
    try:
        record = np.array([float(word) for word in words])
    except ValueError:
        raise BrokenFileError(path, "holds something that is no number") from None
    if broken := [column for column in needed if not np.isfinite(record[column])]:
        raise BrokenFileError(path, f"columns {broken} (counted from 0) are not finite")
    return record


def read_times(path: Path) -> list[float | None]:
    """Seconds since the first time, one a line; None where a line is no time. Raises BrokenFileError."""
    lines = read_bytes(path).decode("ascii", "replace").splitlines()
    moments = [_moment(line) for line in lines]
    first = next((moment for moment in moments if moment is not None), None)
    if first is None:
        raise BrokenFileError(path, "holds no time")
    return [None if moment is None else (moment - first).total_seconds() for moment in moments]


def _moment(line: str) -> datetime | None:
    """2011-09-26 13:02:25.964389445 with its nanoseconds cut to the microseconds that datetime has."""
    try:
        return datetime.strptime(line.strip()[:26], "%Y-%m-%d %H:%M:%S.%f")
    except ValueError:
        return None
