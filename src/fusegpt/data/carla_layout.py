"""`CarlaLayout`: what a CARLA data set has on disk, and with which rig it was recorded.

Both rigs have the LiDAR at (1.3, 0, 2.5) m of the car and the cameras 0.2 m below it, looking ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.recording import projection

Camera = Literal["front", "stitched"]
LIDAR_AHEAD_M = 1.3
LIDAR_UP_M = 2.5
CAMERA_BELOW_LIDAR_M = 0.2

# Camera axes (x right, y down, z ahead) from the sample's (x ahead, y left, z up).
FRAME_TO_CAMERA = np.array([[0, -1, 0, 0], [0, 0, -1, -CAMERA_BELOW_LIDAR_M], [1, 0, 0, 0], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class CarlaLayout:
    """Folders and formats. `size` is (width, height) of the stored image, `front` its columns ahead."""

    image: str
    depth: str
    semantics: str
    topdown: str | None
    size: tuple[int, int]
    front: tuple[int, int]
    fov_degrees: float
    depth_weights: tuple[int, int, int]
    has_ego_matrix: bool

    @property
    def lidar_to_ego(self) -> NDArray[np.float64]:
        """The sample's frame -> the car's, both right-handed."""
        pose = np.eye(4)
        pose[:3, 3] = LIDAR_AHEAD_M, 0.0, LIDAR_UP_M
        return pose

    def columns(self, camera: Camera) -> slice:
        """Which part of a stored image is used."""
        return slice(*self.front) if camera == "front" else slice(0, self.size[0])

    def projection(self, camera: Camera) -> NDArray[np.float32]:
        """(3, 4). In a stitched image it holds for the columns of the front camera."""
        left, right = self.front
        focal = (right - left) / (2.0 * np.tan(np.radians(self.fov_degrees) / 2.0))
        centre = (left + right) / 2.0 - (left if camera == "front" else 0)
        pixels = np.array([[focal, 0, centre], [0, focal, self.size[1] / 2.0], [0, 0, 1.0]])
        return projection(pixels, FRAME_TO_CAMERA)


LAYOUTS: MappingProxyType[str, CarlaLayout] = MappingProxyType(
    {
        "2021": CarlaLayout(
            image="rgb_front",
            depth="depth_front",
            semantics="seg_front",
            topdown=None,
            size=(400, 300),
            front=(0, 400),
            fov_degrees=100.0,
            depth_weights=(1, 256, 65536),
            has_ego_matrix=False,
        ),
        "2022": CarlaLayout(
            image="rgb",
            depth="depth",
            semantics="semantics",
            topdown="topdown",
            size=(960, 160),
            front=(320, 640),
            fov_degrees=60.0,
            depth_weights=(65536, 256, 1),
            has_ego_matrix=True,
        ),
    }
)
