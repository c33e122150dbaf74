"""Small data sets in the layouts of the originals, written from the public descriptions of their formats."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# A pose is (x, y, heading) of the car in a right-handed world: x east, y north, metres and radians.
Pose = tuple[float, float, float]


def straight(speed: float, count: int, period: float = 0.5, heading: float = 0.0) -> list[Pose]:
    return [
        (speed * period * i * math.cos(heading), speed * period * i * math.sin(heading), heading) for i in range(count)
    ]


def arc(speed: float, radius: float, count: int, period: float = 0.5) -> list[Pose]:
    """Circling to the left for a positive radius."""
    turn = [speed * period * i / radius for i in range(count)]
    return [(radius * math.sin(a), radius * (1 - math.cos(a)), a) for a in turn]


@pytest.fixture
def straight_poses() -> Callable[..., list[Pose]]:
    return straight


@pytest.fixture
def arc_poses() -> Callable[..., list[Pose]]:
    return arc


def png(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@dataclass
class CarlaFolder:
    """Writes a route as either recorder did."""

    root: Path
    layout: str
    speed: float = 4.0
    command: tuple[float, float] = (30.0, 0.0)  # ahead and left of the car, metres
    points: tuple[tuple[float, ...], ...] = ((0.0, 12.0, -1.0, 0.5),)  # as the sensor stores them: x left, y ahead

    def write(self, name: str, poses: list[Pose]) -> Path:
        folder = self.root / name
        for number, pose in enumerate(poses):
            self.measurement(folder, number, pose)
            self.sweep(folder, number)
            self.images(folder, number)
        return folder

    def measurement(self, folder: Path, number: int, pose: Pose) -> None:
        x, y, heading = pose
        ahead, left = self.command
        command_x = x + ahead * math.cos(heading) - left * math.sin(heading)
        command_y = y + ahead * math.sin(heading) + left * math.cos(heading)
        # GPS: x is north, y is east; the compass is CARLA's yaw (to the right) + pi/2.
        table: dict[str, Any] = {"x": y, "y": x, "theta": math.pi / 2 - heading, "speed": self.speed}
        table |= {"x_command": command_y, "y_command": command_x}
        if self.layout == "2022":
            yaw = -heading
            table["ego_matrix"] = [
                [math.cos(yaw), -math.sin(yaw), 0.0, x],
                [math.sin(yaw), math.cos(yaw), 0.0, -y],
                [0.0, 0.0, 1.0, 0.3],
                [0.0, 0.0, 0.0, 1.0],
            ]
        path = folder / "measurements" / f"{number:04d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table))

    def sweep(self, folder: Path, number: int) -> None:
        path = folder / "lidar" / f"{number:04d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        points = np.array(self.points, dtype=np.float32)
        if self.layout == "2021":
            np.save(path, points)
            return
        pair = np.empty(2, dtype=object)
        pair[0], pair[1] = number * 10, points
        buffer = io.BytesIO()
        np.save(buffer, pair)
        path.write_bytes(buffer.getvalue())

    def images(self, folder: Path, number: int) -> None:
        name = f"{number:04d}.png"
        if self.layout == "2021":
            png(folder / "rgb_front" / name, np.full((300, 400, 3), 90, np.uint8))
            return
        stitched = np.zeros((160, 960, 3), np.uint8)
        stitched[:, :320], stitched[:, 320:640], stitched[:, 640:] = 10, 20, 30
        png(folder / "rgb" / name, stitched)
        depth = np.zeros((160, 960, 3), np.uint8)
        depth[..., 0] = 1  # the coarse plane comes first in this recorder's files
        png(folder / "depth" / name, depth)
        png(folder / "semantics" / name, np.full((160, 960), 7, np.uint8))
        topdown = np.zeros((500, 500, 3), np.uint8)
        topdown[:, 240:260, 2] = 0x80  # a road ahead and behind, 4 m wide
        topdown[:200, 245:255, 2] |= 0x40
        png(folder / "topdown" / f"encoded_{name}", topdown)


@pytest.fixture
def carla_folder(tmp_path: Path) -> Callable[..., CarlaFolder]:
    return lambda layout, **settings: CarlaFolder(tmp_path / "carla", layout, **settings)
