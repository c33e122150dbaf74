"""`NuscenesTables`: the JSON tables of nuScenes, as far as one LiDAR and one camera need them.

The tables refer to each other by tokens: scene <- sample <- sample_data -> ego_pose, calibrated_sensor -> sensor.
Those of trainval have 2.6 million rows each; rows that are not needed are dropped while a table is parsed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.quaternion import pose
from fusegpt.data.recording import BrokenFileError
from fusegpt.data.sample import DataError

LIDAR = "LIDAR_TOP"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SensorRecord:
    """One sweep or image: where it is, when and from where it was taken. Matrices are (4, 4)."""

    sample: str
    time_s: float
    filename: str
    is_key_frame: bool
    size: tuple[int, int]
    ego_to_world: NDArray[np.float64]
    sensor_to_ego: NDArray[np.float64]
    intrinsics: NDArray[np.float64]


@dataclass(frozen=True)
class SceneRecords:
    """sweeps: all of the scene in the order of time; keyframes: indices into them; images: by sample token.

    broken: rows that could not be used; they are in none of the others.
    """

    sweeps: list[SensorRecord]
    keyframes: list[int]
    images: dict[str, SensorRecord]
    broken: list[BrokenFileError]


class NuscenesTables:
    """Raises DataError naming the table that is missing or that does not fit."""

    def __init__(self, folder: Path, camera: str) -> None:
        self.folder = folder
        channels = {row["token"]: row["channel"] for row in self._table("sensor", "token", "channel")}
        if not {LIDAR, camera} <= set(channels.values()):
            raise DataError(f"{folder / 'sensor.json'}: has no {LIDAR} or no {camera} (data.camera)")
        sensors = self._table("calibrated_sensor", "token", "sensor_token", "translation", "rotation")
        self._calibrations = {row["token"]: row for row in sensors}
        channel_of = {row["token"]: channels.get(row["sensor_token"]) for row in sensors}
        self._rows = self._table(
            "sample_data", "sample_token", "ego_pose_token", "timestamp", "filename", "is_key_frame",
            keep=lambda row: channel_of.get(row.get("calibrated_sensor_token")) in (LIDAR, camera),
        )  # fmt: skip
        needed = {row["ego_pose_token"] for row in self._rows}
        poses = self._table("ego_pose", "token", "translation", "rotation", keep=lambda row: row.get("token") in needed)
        self._poses = {row["token"]: row for row in poses}
        self._channel_of = channel_of
        self._scenes = {row["name"]: row["token"] for row in self._table("scene", "token", "name")}
        self._scene_of = {row["token"]: row["scene_token"] for row in self._table("sample", "token", "scene_token")}
        self._by_scene = self._grouped()

    def scenes(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._scenes)

    def scene(self, name: str) -> SceneRecords:
        """What LiDAR and camera recorded in one scene."""
        sweeps: list[SensorRecord] = []
        images: dict[str, SensorRecord] = {}
        broken: list[BrokenFileError] = []
        for row in self._by_scene.get(self._scenes[name], []):
            try:
                record = self._record(row)
            except BrokenFileError as error:
                broken.append(error)
                continue
            if self._channel_of[row["calibrated_sensor_token"]] == LIDAR:
                sweeps.append(record)
            elif record.is_key_frame:
                images[record.sample] = record
        sweeps.sort(key=lambda sweep: sweep.time_s)
        return SceneRecords(sweeps, [i for i, sweep in enumerate(sweeps) if sweep.is_key_frame], images, broken)

    def _grouped(self) -> dict[str, list[Row]]:
        by_scene: dict[str, list[Row]] = {}
        for row in self._rows:
            by_scene.setdefault(self._scene_of.get(row["sample_token"], ""), []).append(row)
        return by_scene

    def _record(self, row: Row) -> SensorRecord:
        try:
            calibration = self._calibrations[row["calibrated_sensor_token"]]
            ego = self._poses[row["ego_pose_token"]]
            return SensorRecord(
                sample=row["sample_token"],
                time_s=row["timestamp"] / 1e6,
                filename=row["filename"],
                is_key_frame=row["is_key_frame"],
                size=(int(row.get("width") or 0), int(row.get("height") or 0)),
                ego_to_world=pose(ego["rotation"], ego["translation"]),
                sensor_to_ego=pose(calibration["rotation"], calibration["translation"]),
                intrinsics=np.array(calibration.get("camera_intrinsic") or np.eye(3), dtype=np.float64).reshape(3, 3),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenFileError(row["filename"], f"its rows in {self.folder} do not fit together: {error}") from None

    def _table(self, name: str, *columns: str, keep: Callable[[Row], bool] = lambda _: True) -> list[Row]:
        """The rows of one table that `keep` keeps. A row is dropped as soon as it is parsed."""
        path = self.folder / f"{name}.json"
        try:
            with path.open(encoding="utf-8") as stream:
                rows = json.load(stream, object_hook=lambda row: row if keep(row) else None)
        except FileNotFoundError:
            raise DataError(f"{path}: is missing (data.root is the folder above, data.version its name)") from None
        except ValueError as error:
            raise DataError(f"{path}: is no JSON: {error}") from None
        if not isinstance(rows, list):
            raise DataError(f"{path}: is no list of rows")
        kept = [row for row in rows if row is not None]
        if not all(isinstance(row, dict) and set(columns) <= set(row) for row in kept):
            raise DataError(f"{path}: has a row without {', '.join(columns)}")
        return kept
