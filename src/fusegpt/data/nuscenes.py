"""nuScenes: twenty-second scenes from Boston and Singapore, keyframes at 2 Hz, a 32-beam LiDAR at 20 Hz.

Caesar et al., nuScenes: A Multimodal Dataset for Autonomous Driving, CVPR 2020. The LiDAR's own frame is x right,
y ahead, about 1.84 m up; a sample's frame stands at the same place with the axes of the car's body. Poses come from
every sweep, not only from the keyframes, so that speed and waypoints need little interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fusegpt.data.driving import DrivingData
from fusegpt.data.ego_path import EgoPath
from fusegpt.data.lidar import BevGrid
from fusegpt.data.nuscenes_tables import NuscenesTables, SceneRecords, SensorRecord
from fusegpt.data.recording import (
    BrokenFileError,
    RecordedReader,
    chosen,
    existing,
    inside,
    projection,
    read_bytes,
    read_image,
    sound_sweep,
)
from fusegpt.data.sample import Sample

VALUES_PER_POINT = 5  # x, y, z, intensity 0..255, ring
LARGEST_GAP_S = 0.6  # keyframes are 0.5 s apart


class NuscenesData(DrivingData):
    """nuScenes by its tables (format of 2019, unchanged since); mini, trainval or test."""

    source: Literal["nuscenes"] = Field(default="nuscenes", description="Which reader reads it.")
    root: str = Field(description="The folder that holds samples/, sweeps/ and v1.0-mini/ or the like.")
    version: str = Field(default="v1.0-mini", pattern=r"^[\w.-]+$", description="The folder of the tables.")
    camera: str = Field(default="CAM_FRONT", pattern=r"^CAM_[A-Z_]+$", description="The channel of the image.")
    drives: tuple[str, ...] = Field(default=(), description="Only these scenes, by name or its part; all when empty.")
    lidar: BevGrid = Field(
        default=BevGrid(split_z_m=-1.64),
        description="The grid of the bird's-eye-view histogram; the LiDAR is 1.84 m up.",
    )

    def reader(self) -> NuscenesReader:
        """Reads the tables. Raises DataError where `root` or one of them is missing or broken."""
        return NuscenesReader(self)


class NuscenesReader(RecordedReader):
    """A drive is a scene, a moment one of its keyframes."""

    def __init__(self, config: NuscenesData) -> None:
        super().__init__(config)
        self.config = config
        self._root = existing(config.root)
        self._tables = NuscenesTables(self._root / config.version, config.camera)
        self._drives = chosen(self._tables.scenes(), config.drives)
        self._open: tuple[str, SceneRecords, EgoPath] | None = None

    def drives(self) -> list[str]:
        return list(self._drives)

    def moments(self, drive: str) -> Sequence[int]:
        return range(len(self._scene(drive)[0].keyframes))

    def sample(self, drive: str, moment: int) -> Sample | None:
        scene, path = self._scene(drive)
        index = scene.keyframes[moment]
        lidar, camera = scene.sweeps[index], scene.images.get(scene.sweeps[index].sample)
        waypoints, speed = path.waypoints(index, self.config.horizons_s), path.speed_mps(index)
        if waypoints is None or speed is None:
            return None
        if camera is None:
            raise BrokenFileError(
                self._tables.folder / "sample_data.json", f"has no {self.config.camera} of sample {lidar.sample}"
            )
        return Sample(
            drive=drive,
            frame=moment,
            time_s=lidar.time_s - scene.sweeps[0].time_s,
            image=read_image(inside(self._root, camera.filename), camera.size),
            sweep=self._sweep(lidar),
            speed_mps=speed,
            target_point=path.target_point(index, self.config.target_distance_m),
            waypoints=waypoints,
            projection=projection(camera.intrinsics, frame_to_camera(lidar, camera)),
        )

    def _sweep(self, lidar: SensorRecord) -> NDArray[np.float32]:
        path = inside(self._root, lidar.filename)
        content = read_bytes(path)
        if len(content) % (4 * VALUES_PER_POINT):
            raise BrokenFileError(path, f"has {len(content)} bytes, no multiple of {4 * VALUES_PER_POINT} (one point)")
        points = np.frombuffer(content, dtype="<f4").reshape(-1, VALUES_PER_POINT)[:, :4]
        sweep = sound_sweep(path, points)
        sweep[:, :3] = sweep[:, :3] @ lidar.sensor_to_ego[:3, :3].T.astype(np.float32)
        sweep[:, 3] /= 255.0
        return sweep

    def _scene(self, drive: str) -> tuple[SceneRecords, EgoPath]:
        if self._open is None or self._open[0] != drive:
            scene = self._tables.scene(drive)
            for broken in scene.broken:
                self.report(broken)
            times = np.array([sweep.time_s for sweep in scene.sweeps])
            poses = np.array([sweep.ego_to_world @ frame_to_ego(sweep) for sweep in scene.sweeps])
            self._open = drive, scene, EgoPath(times, poses.reshape(-1, 4, 4), LARGEST_GAP_S)
        return self._open[1], self._open[2]


def frame_to_ego(lidar: SensorRecord) -> NDArray[np.float64]:
    """The sample's frame -> the car's: the LiDAR's place, the car's axes."""
    pose = np.eye(4)
    pose[:3, 3] = lidar.sensor_to_ego[:3, 3]
    return pose


def frame_to_camera(lidar: SensorRecord, camera: SensorRecord) -> NDArray[np.float64]:
    """Through the world, because the image was taken some milliseconds from the sweep."""
    world = lidar.ego_to_world @ frame_to_ego(lidar)
    seen: NDArray[np.float64] = np.linalg.inv(camera.ego_to_world @ camera.sensor_to_ego) @ world
    return seen
