"""NAVSIM: OpenScene's logs of nuPlan, frames at 2 Hz, and its sensor blobs.

Dauner et al., NAVSIM: Data-Driven Non-Reactive Autonomous Vehicle Simulation and Benchmarking, NeurIPS 2024. The merged
cloud of five LiDARs is in the frame of the car's body (x ahead, y left, origin at the rear axle), which is the sample's
frame here as it is in NAVSIM; cameras are given relative to it. Logs are pickles: see plain_pickle.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fusegpt.data.driving import DrivingData
from fusegpt.data.ego_path import EgoPath
from fusegpt.data.lidar import BevGrid
from fusegpt.data.navsim_camera import front, stitched
from fusegpt.data.pcd import PcdError, read_pcd
from fusegpt.data.plain_pickle import UnsafePickleError, load_pickle
from fusegpt.data.quaternion import pose
from fusegpt.data.recording import BrokenFileError, RecordedReader, chosen, existing, inside, read_bytes, sound_sweep
from fusegpt.data.sample import DataError, Sample

LARGEST_GAP_S = 0.75  # frames are 0.5 s apart
NEEDED = ("timestamp", "lidar_path", "cams", "ego2global_rotation", "ego2global_translation", "ego_dynamic_state")
FIELDS = ("x", "y", "z", "intensity")


class NavsimData(DrivingData):
    """NAVSIM's OpenScene logs and sensor blobs, where its download scripts put them."""

    source: Literal["navsim"] = Field(default="navsim", description="Which reader reads it.")
    root: str = Field(description="The folder that holds navsim_logs/ and sensor_blobs/.")
    split: str = Field(default="mini", pattern=r"^\w+$", description="The folder below both: mini, trainval or test.")
    camera: Literal["front", "stitched"] = Field(
        default="stitched", description="The front camera, or left, front and right cropped and side by side."
    )
    drives: tuple[str, ...] = Field(default=(), description="Only these logs, by name or its part; all when empty.")
    lidar: BevGrid = Field(
        default=BevGrid(split_z_m=0.2), description="The grid of the bird's-eye-view histogram; heights from the axle."
    )

    def reader(self) -> NavsimReader:
        """Raises DataError where `root` has no logs of `split`."""
        return NavsimReader(self)


class NavsimReader(RecordedReader):
    """A drive is a log, a moment one of its frames."""

    def __init__(self, config: NavsimData) -> None:
        super().__init__(config)
        self.config = config
        root = existing(config.root)
        self._logs, self._blobs = root / "navsim_logs" / config.split, root / "sensor_blobs" / config.split
        for folder in (self._logs, self._blobs):
            if not folder.is_dir():
                raise DataError(f"data.root, data.split: {folder} is no folder")
        names = [path.stem for path in self._logs.glob("*.pkl")]
        if not names:
            raise DataError(f"data.root, data.split: {self._logs} holds no log (*.pkl)")
        self._drives = chosen(names, config.drives)
        self._open: tuple[str, list[Mapping[str, Any]], EgoPath] | None = None

    def drives(self) -> list[str]:
        return list(self._drives)

    def moments(self, drive: str) -> Sequence[int]:
        """The frames whose sensors were downloaded: navtrain, for one, brings a part of them, and that is no fault."""
        return [i for i, frame in enumerate(self._log(drive)[0]) if self._downloaded(frame)]

    def sample(self, drive: str, moment: int) -> Sample | None:
        frames, path = self._log(drive)
        frame = frames[moment]
        waypoints = path.waypoints(moment, self.config.horizons_s)
        if waypoints is None:
            return None
        image, projection = (front if self.config.camera == "front" else stitched)(self._blobs, frame["cams"])
        return Sample(
            drive=drive,
            frame=moment,
            time_s=float(path.times_s[moment] - path.times_s[0]),
            image=image,
            sweep=read_merged_cloud(inside(self._blobs, frame["lidar_path"])),
            speed_mps=frame["speed_mps"],
            target_point=path.target_point(moment, self.config.target_distance_m),
            waypoints=waypoints,
            projection=projection,
        )

    def _downloaded(self, frame: Mapping[str, Any]) -> bool:
        files = [frame["lidar_path"], frame["cams"].get("CAM_F0", {}).get("data_path")]
        return any(file is not None and (self._blobs / file).exists() for file in files)

    def _log(self, drive: str) -> tuple[list[Mapping[str, Any]], EgoPath]:
        if self._open is None or self._open[0] != drive:
            frames, broken = read_log(self._logs / f"{drive}.pkl")
            for error in broken:
                self.report(error)
            times = np.array([frame["time_s"] for frame in frames])
            poses = np.array([frame["pose"] for frame in frames]).reshape(-1, 4, 4)
            self._open = drive, frames, EgoPath(times, poses, LARGEST_GAP_S)
        return self._open[1], self._open[2]


def read_log(path: Path) -> tuple[list[Mapping[str, Any]], list[BrokenFileError]]:
    """The sound frames of a log in the order of time, and what is wrong with the others.

    "time_s", "pose" (4, 4) and "speed_mps" are added to each. Raises BrokenFileError where the file cannot be read.
    """
    try:
        stored = load_pickle(read_bytes(path))
    except UnsafePickleError as error:
        raise BrokenFileError(path, str(error)) from None
    if not isinstance(stored, list):
        raise BrokenFileError(path, "is no list of frames")
    frames: list[Mapping[str, Any]] = []
    broken: list[BrokenFileError] = []
    for index, frame in enumerate(stored):
        try:
            frames.append(_checked(frame))
        except (TypeError, ValueError) as error:
            broken.append(BrokenFileError(path, f"frame {index}: {error}"))
    return sorted(frames, key=lambda frame: float(frame["time_s"])), broken


def _checked(frame: Any) -> Mapping[str, Any]:
    if not isinstance(frame, Mapping):
        raise ValueError("is no table")
    missing = [key for key in NEEDED if frame.get(key) is None]
    if missing or not isinstance(frame["cams"], Mapping):
        raise ValueError(f"has no {', '.join(missing) or 'table of cams'}")
    speed = float(np.hypot(*np.asarray(frame["ego_dynamic_state"], dtype=np.float64)[:2]))
    if not np.isfinite(speed):
        raise ValueError(f"ego_dynamic_state is {frame['ego_dynamic_state']}, not finite")
    where = pose(frame["ego2global_rotation"], frame["ego2global_translation"])
    return {**frame, "time_s": int(frame["timestamp"]) / 1e6, "pose": where, "speed_mps": speed}


def read_merged_cloud(path: Path) -> NDArray[np.float32]:
    """(N, 4): a MergedPointCloud, intensity 0..255 made 0..1. Raises BrokenFileError."""
    try:
        fields = read_pcd(read_bytes(path))
        sweep = sound_sweep(path, np.stack([fields[name].astype(np.float32) for name in FIELDS], axis=1))
    except PcdError as error:
        raise BrokenFileError(path, str(error)) from None
    except KeyError as error:
        raise BrokenFileError(path, f"has no field {error}; it has {', '.join(fields)}") from None
    sweep[:, 3] /= 255.0
    return sweep
