"""`WorldReader`: the synthetic world as a source of samples.

Every drive and every frame has its own stream of random numbers (NumPy's SeedSequence), so any of them can be made
alone, and the same NumPy makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.sample import DataError, Problem, Sample
from fusegpt.data.world.camera import FAR_M, LIDAR_HEIGHT_M, Camera, View
from fusegpt.data.world.config import WorldData
from fusegpt.data.world.drive import Drive, make_drive
from fusegpt.data.world.expert import MIDDLE_M
from fusegpt.data.world.overhead import overhead
from fusegpt.data.world.path import Floats
from fusegpt.data.world.scanner import Scanner
from fusegpt.data.world.solids import Solids
from fusegpt.data.world.surface import Surface, known
from fusegpt.data.world.traffic import EGO

SIGHT_M = 130.0


class WorldReader:
    """Reads the world that `WorldData` describes. Nothing in it can be broken, so `problems` stays empty."""

    def __init__(self, config: WorldData) -> None:
        self.config = config
        self._camera = Camera(config.image_height_px, config.image_width_px, config.camera_fov_deg)
        self._scanner = Scanner(config.lidar_rings, config.lidar_azimuths, config.lidar_range_m)

    @property
    def problems(self) -> list[Problem]:
        """None, ever."""
        return []

    def drives(self) -> list[str]:
        """world-0000, world-0001 ..."""
        return [f"world-{number:04d}" for number in range(self.config.n_drives)]

    def frames(self, drive: str) -> int:
        """How many samples the drive has."""
        self._number(drive)
        return len(self._frames())

    def samples(self, drive: str) -> Iterator[Sample]:
        """The samples of one drive in the order of time. Raises DataError for a drive that is none."""
        number = self._number(drive)
        world = self.drive(drive)
        for frame in self._frames():
            yield self._sample(world, drive, number, frame)

    def drive(self, name: str) -> Drive:
        """The drive itself: its street, its traffic and what happened."""
        rng = np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=(self._number(name),)))
        seconds = self.config.seconds_per_drive + max(self.config.horizons_s)
        return make_drive(rng, seconds, self.config.traffic)

    def _number(self, drive: str) -> int:
        names = self.drives()
        if drive not in names:
            raise DataError(f"data: there is no drive {drive!r}; there are {names[0]} to {names[-1]} (data.n_drives)")
        return names.index(drive)

    def _frames(self) -> range:
        return range(0, int(self.config.seconds_per_drive * self.config.rate_hz), self.config.stride)

    def _sample(self, world: Drive, drive: str, number: int, frame: int) -> Sample:
        rng = np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=(number, frame)))
        time_s = frame / self.config.rate_hz
        pose = world.pose(np.array([time_s]))[0]
        solids = world.solids(time_s, SIGHT_M).seen_from(pose, LIDAR_HEIGHT_M)
        view = self._camera.render(pose, solids, world.ground, world.weather, rng)
        future = world.pose(time_s + np.array(self.config.horizons_s))
        return Sample(
            drive=drive,
            frame=frame,
            time_s=time_s,
            image=view.image,
            sweep=self._scanner.scan(pose, solids, world.ground, rng),
            speed_mps=float(world.track.at(world.track.speed[:, EGO], np.array([time_s]))[0]),
            target_point=_into_frame(pose, self._ahead(world, time_s)[None])[0],
            waypoints=_into_frame(pose, future[:, :2]),
            projection=self._camera.projection,
            labels=self._labels(world, pose, solids, view) if self.config.labels else {},
        )

    def _ahead(self, world: Drive, time_s: float) -> Floats:
        """x, y of the route `target_distance_m` further on."""
        axle = world.track.at(world.track.s[:, EGO], np.array([time_s])) - MIDDLE_M
        return world.route.at(axle + self.config.target_distance_m)[0, :2]

    def _labels(self, world: Drive, pose: Floats, solids: Solids, view: View) -> dict[str, NDArray[np.generic]]:
        return {
            "bev_semantics": overhead(self.config.lidar, pose, solids, world.ground),
            "depth_m": np.minimum(view.depth_m, np.float32(FAR_M)),
            "semantics": known(view.semantics, Surface.POLE),
        }


def _into_frame(pose: Floats, points: Floats) -> NDArray[np.float32]:
    """Points (K, 2) of the world in the frame at `pose`."""
    x, y = (points - pose[:2]).T
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=1).astype(np.float32)
