"""`KittiReader`: samples from KITTI raw. The frame of a sample is that of the LiDAR at its sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.ego_path import EgoPath
from fusegpt.data.kitti import KittiData
from fusegpt.data.kitti_calibration import Calibration, read_calibration
from fusegpt.data.kitti_oxts import NEEDED, SPEED, Motion, read_record, read_times
from fusegpt.data.recording import BrokenFileError, RecordedReader, read_bytes, read_image, sound_sweep
from fusegpt.data.sample import DataError, Sample
from fusegpt.data.splits import matching

BYTES_PER_POINT = 16
# KITTI's own images differ by some pixels between dates; a picture of another shape than that is a wrong file.
SHAPE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Drive:
    """One opened drive: its calibration, the path of its LiDAR, and which record belongs to which frame."""

    folder: Path
    calibration: Calibration
    path: EgoPath
    speeds_mps: NDArray[np.float64]
    record_of: dict[int, int]


class KittiReader(RecordedReader):
    """Reads root/<date>/<date>_drive_<number>_sync/{image_02,velodyne_points,oxts} and the date's calib_*.txt.

    A drive is named by its folder. A frame is a sample when image, sweep and record are sound and the drive goes on
    without a hole as far as the last horizon; the target point may lie beyond the drive's end, straight on from it.
    """

    def __init__(self, config: KittiData) -> None:
        super().__init__(config)
        self.config = config
        found = find_drives(Path(config.root).expanduser())
        names = matching(sorted(found), config.drives, "data.drives") if config.drives else list(found)
        self._folders = {name: found[name] for name in sorted(names)}
        self._opened: Drive | None = None

    def drives(self) -> list[str]:
        return list(self._folders)

    def moments(self, drive: str) -> Sequence[int]:
        folder = self._folders[drive]
        numbers: set[int] = set()
        for part, suffix in (("image_02", ".png"), ("velodyne_points", ".bin"), ("oxts", ".txt")):
            numbers.update(frame_numbers(folder / part / "data", suffix))
        return sorted(numbers)

    def samples(self, drive: str) -> Iterator[Sample]:
        try:
            self._open(drive)
        except BrokenFileError as broken:
            self.report(broken)
            return
        yield from super().samples(drive)

    def sample(self, drive: str, moment: int) -> Sample | None:
        opened = self._open(drive)
        index = opened.record_of.get(moment)
        if index is None:
            return None  # its record is a problem already
        waypoints = opened.path.waypoints(index, self.config.horizons_s)
        if waypoints is None:
            return None
        image = self._image(opened, moment)
        return Sample(
            drive=drive,
            frame=moment,
            time_s=float(opened.path.times_s[index]),
            image=image,
            sweep=read_sweep(opened.folder / "velodyne_points" / "data" / f"{moment:010d}.bin"),
            speed_mps=float(opened.speeds_mps[index]),
            target_point=opened.path.target_point(index, self.config.target_distance_m),
            waypoints=waypoints,
            projection=opened.calibration.onto(width_px=image.shape[1], height_px=image.shape[0]),
        )

    def path(self, drive: str) -> EgoPath:
        """Where the LiDAR was, and when. Raises BrokenFileError."""
        return self._open(drive).path

    def _open(self, drive: str) -> Drive:
        folder = self._folders[drive]
        if self._opened is None or self._opened.folder != folder:
            calibration = read_calibration(folder.parent)
            motion = self._motion(folder, self.moments(drive))
            poses = motion.poses(calibration.imu_to_velo, self.config.poses)
            self._opened = Drive(
                folder=folder,
                calibration=calibration,
                path=EgoPath(motion.times_s, poses, self.config.max_gap_s),
                speeds_mps=motion.records[:, SPEED],
                record_of={int(frame): index for index, frame in enumerate(motion.frames)},
            )
        return self._opened

    def _motion(self, folder: Path, frames: Sequence[int]) -> Motion:
        """The sound records. A broken one is reported and left out, as is one whose time does not go forward."""
        stamps = folder / "oxts" / "timestamps.txt"
        times = read_times(stamps)
        sound: list[tuple[int, float, NDArray[np.float64]]] = []
        for frame in frames:
            try:
                time_s = time_of(stamps, times, frame, after=sound[-1][1] if sound else None)
                record = read_record(folder / "oxts" / "data" / f"{frame:010d}.txt", NEEDED[self.config.poses])
                sound.append((frame, time_s, record))
            except BrokenFileError as broken:
                self.report(broken)
        if not sound:
            raise BrokenFileError(folder / "oxts", "holds no sound record")
        numbers, seconds, records = zip(*sound, strict=True)
        return Motion(np.array(numbers, np.int64), np.array(seconds), np.stack(records))

    def _image(self, opened: Drive, moment: int) -> NDArray[np.uint8]:
        path = opened.folder / "image_02" / "data" / f"{moment:010d}.png"
        image = read_image(path)
        height, width, _ = image.shape
        want_width, want_height = opened.calibration.size_px
        if abs(width * want_height / (height * want_width) - 1) > SHAPE_TOLERANCE:
            raise BrokenFileError(
                path, f"is {width} x {height} pixels, which is not the shape of the calibration's "
                f"{want_width} x {want_height}"
            )  # fmt: skip
        return image


def find_drives(root: Path) -> dict[str, Path]:
    """The drives under `root`, by name; `root` may also be the folder of one date. Raises DataError."""
    if not root.is_dir():
        raise DataError(f"data.root: {root} is no folder")
    found = {path.name: path for pattern in ("*_drive_*_sync", "*/*_drive_*_sync") for path in root.glob(pattern)}
    if not found:
        raise DataError(
            f"data.root: {root} holds no drive; it must hold <date>/<date>_drive_<number>_sync, "
            "the layout that KITTI's site hands out"
        )
    return dict(sorted(found.items()))


def frame_numbers(folder: Path, suffix: str) -> list[int]:
    """The frames of which a folder has a file: 0000000012.png is 12. Other names are none of KITTI's."""
    if not folder.is_dir():
        return []
    return [int(path.stem) for path in folder.glob(f"*{suffix}") if len(path.stem) == 10 and path.stem.isdigit()]


def read_sweep(path: Path) -> NDArray[np.float32]:
    """(N, 4) x y z in metres and reflectance. Raises BrokenFileError."""
    raw = read_bytes(path)
    if len(raw) % BYTES_PER_POINT:
        raise BrokenFileError(path, f"is cut off: {len(raw)} bytes are no multiple of {BYTES_PER_POINT}")
    return sound_sweep(path, np.frombuffer(raw, dtype="<f4").reshape(-1, 4))


def time_of(path: Path, times: Sequence[float | None], frame: int, after: float | None) -> float:
    """Seconds of one frame, which must come after the one before. Raises BrokenFileError."""
    time_s = times[frame] if frame < len(times) else None
    if time_s is None:
        raise BrokenFileError(path, f"line {frame + 1} holds no time")
    if after is not None and time_s <= after:
        raise BrokenFileError(path, f"line {frame + 1} does not come after the line before it")
    return time_s
