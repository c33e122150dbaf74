"""The images of a NAVSIM frame: the front camera, or the strip of three that NAVSIM's TransFuser agent sees.

The strip is 28 rows off the top and bottom of each 1920 x 1080 image and 416 columns off both sides of the outer two:
4096 x 1024, the left camera first. nuPlan's images are distorted, and no projection here undoes that, as in NAVSIM.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.recording import BrokenFileError, inside, projection, read_image

SIZE = (1920, 1080)
CROP_ROWS = 28
CROP_COLUMNS = 416
SIDE_WIDTH = SIZE[0] - 2 * CROP_COLUMNS

View = tuple[NDArray[np.uint8], NDArray[np.float32]]


def front(blobs: Path, cameras: Mapping[str, Any]) -> View:
    """(1080, 1920, 3) of CAM_F0, and its projection (3, 4). Raises BrokenFileError."""
    return _image(blobs, cameras, "CAM_F0"), _projection(blobs, cameras, (0, 0))


def stitched(blobs: Path, cameras: Mapping[str, Any]) -> View:
    """(1024, 4096, 3), and a projection that holds for the columns of the front camera. Raises BrokenFileError."""
    left, ahead, right = (_image(blobs, cameras, name)[CROP_ROWS:-CROP_ROWS] for name in ("CAM_L0", "CAM_F0", "CAM_R0"))
    sides = slice(CROP_COLUMNS, -CROP_COLUMNS)
    strip = np.concatenate([left[:, sides], ahead, right[:, sides]], axis=1)
    return strip, _projection(blobs, cameras, (SIDE_WIDTH, -CROP_ROWS))


def _image(blobs: Path, cameras: Mapping[str, Any], name: str) -> NDArray[np.uint8]:
    camera = cameras.get(name)
    if not isinstance(camera, Mapping) or "data_path" not in camera:
        raise BrokenFileError(blobs, f"the log names no image of {name}")
    return read_image(inside(blobs, camera["data_path"]), SIZE)


def _projection(blobs: Path, cameras: Mapping[str, Any], shift: tuple[int, int]) -> NDArray[np.float32]:
    """Of the front camera, with its pixels moved by `shift` (columns, rows)."""
    camera = cameras["CAM_F0"]
    try:
        intrinsics = np.array(camera["cam_intrinsic"], dtype=np.float64).reshape(3, 3)
        camera_to_frame = np.eye(4)
        camera_to_frame[:3, :3] = np.asarray(camera["sensor2lidar_rotation"], dtype=np.float64).reshape(3, 3)
        camera_to_frame[:3, 3] = camera["sensor2lidar_translation"]
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFileError(blobs / str(camera["data_path"]), f"the log has no calibration of it: {error}") from None
    intrinsics[:2, 2] += shift
    return projection(intrinsics, np.linalg.inv(camera_to_frame).astype(np.float64))
