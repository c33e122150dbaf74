"""Small drives in KITTI's layout, made up by the tests: a car on a straight road or a circle."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

DATE = "2011_09_26"
CAM_TO_CAM = """R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 720 0 610 45 0 720 172 0.2 0 0 1 0.003
"""
VELO_TO_CAM = """calib_time: 15-Mar-2012 11:37:16
R: 0 -1 0 0 0 -1 1 0 0
T: 0 -0.08 -0.27
"""
IMU_TO_VELO = """R: 1 0 0 0 1 0 0 0 1
T: -0.8 0.3 -0.8
"""


class KittiFolder:
    """A folder in KITTI's layout that a test can spoil."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.date = root / DATE
        self.date.mkdir(parents=True)
        for name, text in (("cam_to_cam", CAM_TO_CAM), ("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
            (self.date / f"calib_{name}.txt").write_text(text)

    def drive(
        self, number: int = 1, frames: int = 40, speed: float = 10.0, yaw_rate: float = 0.0, rate_hz: float = 10.0
    ) -> Path:
        folder = self.date / f"{DATE}_drive_{number:04d}_sync"
        for part in ("image_02", "velodyne_points", "oxts"):
            (folder / part / "data").mkdir(parents=True)
        rng = np.random.default_rng(number)
        start = datetime(2011, 9, 26, 13, 2, 25)
        stamps = []
        for frame in range(frames):
            time_s = frame / rate_hz
            stamps.append((start + timedelta(seconds=time_s)).strftime("%Y-%m-%d %H:%M:%S.%f") + "000")
            self.file(folder, "oxts", frame).write_text(record(yaw=yaw_rate * time_s, speed=speed))
            points = rng.uniform((0, -15, -2, 0), (30, 15, 1, 1), (50, 4)).astype("<f4")
            points.tofile(self.file(folder, "velodyne_points", frame))
            picture = rng.integers(0, 256, (30, 100, 3), dtype=np.uint8)
            Image.fromarray(picture).save(self.file(folder, "image_02", frame))
        (folder / "oxts" / "timestamps.txt").write_text("\n".join(stamps) + "\n")
        return folder

    @staticmethod
    def file(folder: Path, part: str, frame: int) -> Path:
        suffix = {"image_02": "png", "velodyne_points": "bin", "oxts": "txt"}[part]
        return folder / part / "data" / f"{frame:010d}.{suffix}"


def record(yaw: float = 0.0, speed: float = 10.0, latitude: float = 49.0, longitude: float = 8.4) -> str:
    """KITTI's 30 columns with those unknown that the reader does not need."""
    values = [float("nan")] * 30
    values[0:6] = [latitude, longitude, 116.0, 0.0, 0.0, yaw]
    values[8] = speed
    return " ".join(f"{value:.12g}" for value in values)
