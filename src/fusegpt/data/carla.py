"""TransFuser's CARLA data sets: 2021 (branch cvpr2021) and 2022 (branch 2022) of autonomousvision/transfuser.

Prakash, Chitta, Geiger, Multi-Modal Fusion Transformer for End-to-End Autonomous Driving, CVPR 2021; Chitta et al.,
TransFuser, PAMI 2022. One folder per route, one file per moment and kind; a moment is every tenth step of a simulation
of 20 Hz. CARLA is left-handed (x ahead, y right); the sweep is in the frame of a sensor turned by -90 degrees (x left,
y ahead). Positions in the measurements are GPS in metres: x north = -y of CARLA, y east = x of CARLA.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from fusegpt.data.carla_labels import read_labels
from fusegpt.data.carla_layout import LAYOUTS, LIDAR_AHEAD_M, CarlaLayout
from fusegpt.data.driving import DrivingData
from fusegpt.data.ego_path import EgoPath
from fusegpt.data.lidar import BevGrid
from fusegpt.data.plain_pickle import UnsafePickleError, load_npy
from fusegpt.data.recording import (
    BrokenFileError,
    RecordedReader,
    chosen,
    existing,
    finite,
    read_bytes,
    read_image,
    read_json,
    sound_sweep,
)
from fusegpt.data.sample import DataError, Sample

MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])  # left-handed <-> right-handed
DEEPEST_ROUTE = 4


class CarlaData(DrivingData):
    """TransFuser's data sets, recorded with CARLA 0.9.10. Reading them needs no CARLA."""

    source: Literal["carla"] = Field(default="carla", description="Which reader reads it.")
    root: str = Field(description="The folder above the routes, at any depth down to four.")
    layout: Annotated[Literal["2021", "2022"], BeforeValidator(str)] = Field(
        default="2022", description="Which of the two data sets it is."
    )
    camera: Literal["front", "stitched"] = Field(
        default="stitched", description="The whole stored image (2022: three cameras side by side), or its front part."
    )
    drives: tuple[str, ...] = Field(default=(), description="Only these routes, by name or its part; all when empty.")
    margin_frames: int = Field(
        default=2, ge=0, description="Frames left out at both ends of a route, as the original does."
    )
    frame_period_s: float = Field(default=0.5, gt=0, description="Seconds between two frames on disk.")
    labels: bool = Field(default=True, description="Also read depth, semantics and BEV semantics where they are.")
    lidar: BevGrid = Field(
        default=BevGrid(split_z_m=-2.3), description="The grid of the bird's-eye-view histogram; the LiDAR is 2.5 m up."
    )

    def reader(self) -> CarlaReader:
        """Raises DataError where `root` holds no route of this layout."""
        return CarlaReader(self)


@dataclass(frozen=True)
class Route:
    """One drive: its folder, its frame numbers without a gap, and the path through the sound measurements."""

    folder: Path
    numbers: range
    measurements: Mapping[int, Mapping[str, Any]]
    path: EgoPath
    on_path: Mapping[int, int]


class CarlaReader(RecordedReader):
    """Reads routes of either layout."""

    def __init__(self, config: CarlaData) -> None:
        super().__init__(config)
        self.config = config
        self.layout = LAYOUTS[config.layout]
        self._root = existing(config.root)
        found = [str(path.relative_to(self._root)) for path in find_routes(self._root, self.layout)]
        if not found:
            raise DataError(
                f"data.root: {self._root} has no route of data.layout {config.layout} "
                f"(a folder with {self.layout.image}/, lidar/ and measurements/)"
            )
        self._drives = chosen(found, config.drives)
        self._open: tuple[str, Route] | None = None

    def drives(self) -> list[str]:
        return list(self._drives)

    def moments(self, drive: str) -> Sequence[int]:
        numbers = frame_numbers(self._root / drive, self.layout)
        margin = self.config.margin_frames
        return numbers[margin : len(numbers) - margin]

    def sample(self, drive: str, moment: int) -> Sample | None:
        route = self._route(drive)
        if moment not in route.on_path:
            return None  # its measurement is a problem already
        index = route.on_path[moment]
        waypoints = route.path.waypoints(index, self.config.horizons_s)
        if waypoints is None:
            return None
        measured = route.measurements[moment]
        return Sample(
            drive=drive,
            frame=moment,
            time_s=moment * self.config.frame_period_s,
            image=self._image(route, moment),
            sweep=read_sweep(route.folder / "lidar" / f"{moment:04d}.npy"),
            speed_mps=measured["speed"],
            target_point=target_point(measured),
            waypoints=waypoints,
            projection=self.layout.projection(self.config.camera),
            labels=self._labels(route, moment),
        )

    def _labels(self, route: Route, moment: int) -> Mapping[str, NDArray[np.generic]]:
        if not self.config.labels:
            return {}
        return read_labels(route.folder, moment, self.layout, self.config.camera, self.config.lidar)

    def _image(self, route: Route, moment: int) -> NDArray[np.uint8]:
        image = read_image(route.folder / self.layout.image / f"{moment:04d}.png", self.layout.size)
        return np.ascontiguousarray(image[:, self.layout.columns(self.config.camera)])

    def _route(self, drive: str) -> Route:
        if self._open is None or self._open[0] != drive:
            self._open = (drive, self._read_route(self._root / drive))
        return self._open[1]

    def _read_route(self, folder: Path) -> Route:
        numbers = frame_numbers(folder, self.layout)
        measurements: dict[int, Mapping[str, Any]] = {}
        for number in numbers:
            try:
                measurements[number] = read_measurement(folder / "measurements" / f"{number:04d}.json", self.layout)
            except BrokenFileError as broken:
                self.report(broken)
        times = np.array(list(measurements)) * self.config.frame_period_s
        poses = np.array([measured["lidar_pose"] for measured in measurements.values()]).reshape(-1, 4, 4)
        path = EgoPath(times, poses, max_gap_s=1.5 * self.config.frame_period_s)
        return Route(folder, numbers, measurements, path, {number: i for i, number in enumerate(measurements)})


def find_routes(root: Path, layout: CarlaLayout) -> Iterator[Path]:
    """The folders with the parts of a route, without looking into them: a route holds thousands of files."""
    needed = {layout.image, "lidar", "measurements"}
    for folder, names, _ in os.walk(root, followlinks=True):
        path = Path(folder)
        if needed <= set(names):
            yield path
            names.clear()
        elif len(path.relative_to(root).parts) >= DEEPEST_ROUTE:
            names.clear()


def frame_numbers(folder: Path, layout: CarlaLayout) -> range:
    """From the first to the last frame that any part of the route has: a hole shows as files that are missing."""
    parts = ("measurements", "lidar", layout.image)
    stems = [path.stem for part in parts for path in (folder / part).iterdir()]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return range(min(numbers), max(numbers) + 1) if numbers else range(0)


def read_measurement(path: Path, layout: CarlaLayout) -> Mapping[str, Any]:
    """The numbers of one moment, checked, with "heading" (radians, y left) and "lidar_pose" (4, 4) added."""
    table = read_json(path)
    if not isinstance(table, Mapping):
        raise BrokenFileError(path, "holds no table of measurements")
    keys = ("x", "y", "speed", "x_command", "y_command")
    measured: dict[str, Any] = {key: finite(path, table, key) for key in keys}
    if layout.has_ego_matrix:
        pose = _ego_matrix(path, table)
    else:
        pose = _flat_pose(measured["y"], measured["x"], np.pi / 2 - finite(path, table, "theta"))
    measured["heading"] = float(np.arctan2(pose[1, 0], pose[0, 0]))
    measured["lidar_pose"] = pose @ layout.lidar_to_ego
    return measured


def _ego_matrix(path: Path, table: Mapping[str, Any]) -> NDArray[np.float64]:
    """CARLA's own pose of the car, made right-handed. The compass of 2022 is no source: a NaN was stored as 0."""
    matrix = np.array(table.get("ego_matrix") or [], dtype=object)
    try:
        pose = matrix.astype(np.float64)
    except (TypeError, ValueError):
        pose = np.empty(0)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise BrokenFileError(path, f"ego_matrix is {table.get('ego_matrix')!r}, not 4 x 4 finite numbers")
    return MIRROR @ pose @ MIRROR


def _flat_pose(x: float, y: float, heading: float) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
    pose[:2, 3] = x, y
    return pose


def target_point(measured: Mapping[str, Any]) -> NDArray[np.float32]:
    """(2,): the route's next command point, given in GPS metres like the car's own position, seen from the LiDAR."""
    offset = np.array([measured["y_command"] - measured["y"], measured["x_command"] - measured["x"]])
    ahead = np.array([np.cos(measured["heading"]), np.sin(measured["heading"])])
    left = np.array([-ahead[1], ahead[0]])
    return np.array([offset @ ahead - LIDAR_AHEAD_M, offset @ left], dtype=np.float32)


def read_sweep(path: Path) -> NDArray[np.float32]:
    """(N, 4). 2022 stored the pair (step, points) as objects, 2021 the points alone. Raises BrokenFileError."""
    try:
        stored = load_npy(read_bytes(path))
    except UnsafePickleError as error:
        raise BrokenFileError(path, str(error)) from None
    if stored.dtype == object:
        stored = np.asarray(stored.reshape(-1)[1]) if stored.size == 2 else stored
    points = sound_sweep(path, stored)
    return np.ascontiguousarray(points[:, [1, 0, 2, 3]])
