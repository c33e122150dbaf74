"""KITTI's calibration of one date: LiDAR -> pixels of the left colour camera, and IMU -> LiDAR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.image import rescaled
from fusegpt.data.recording import BrokenFileError, read_bytes

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """projection: (3, 4) LiDAR point -> pixel of the rectified image of `size_px`; imu_to_velo: (4, 4)."""

    projection: Float
    size_px: tuple[int, int]
    imu_to_velo: Float

    def onto(self, width_px: int, height_px: int) -> NDArray[np.float32]:
        """The projection onto an image of another resolution: (3, 4) float32."""
        width, height = self.size_px
        return rescaled(self.projection, (height, width), height_px, width_px)


def read_calibration(folder: Path) -> Calibration:
    """The three calib_*.txt of a date. Raises BrokenFileError."""
    cameras = Table(folder / "calib_cam_to_cam.txt")
    velo_to_cam = Table(folder / "calib_velo_to_cam.txt").rigid()
    rectify = np.eye(4)
    rectify[:3, :3] = cameras.numbers("R_rect_00", 9).reshape(3, 3)
    width, height = cameras.numbers("S_rect_02", 2)
    return Calibration(
        projection=cameras.numbers("P_rect_02", 12).reshape(3, 4) @ rectify @ velo_to_cam,
        size_px=(int(width), int(height)),
        imu_to_velo=Table(folder / "calib_imu_to_velo.txt").rigid(),
    )


class Table:
    """One calib_*.txt: a name, a colon and numbers on each line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = read_bytes(path).decode("ascii", "replace")
        self._lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def numbers(self, name: str, count: int) -> Float:
        """(count,) finite numbers. Raises BrokenFileError."""
        if name not in self._lines:
            raise BrokenFileError(self.path, f"has no line {name}")
        try:
            values = np.array(self._lines[name].split(), dtype=np.float64)
        except ValueError:
            raise BrokenFileError(self.path, f"{name} holds something that is no number") from None
        if len(values) != count or not np.isfinite(values).all():
            raise BrokenFileError(
                self.path, f"{name} must be {count} finite numbers, not {self._lines[name].strip()!r}"
            )
        return values

    def rigid(self) -> Float:
        """(4, 4) from the lines R and T."""
        transform = np.eye(4)
        transform[:3, :3] = self.numbers("R", 9).reshape(3, 3)
        transform[:3, 3] = self.numbers("T", 3)
        return transform
