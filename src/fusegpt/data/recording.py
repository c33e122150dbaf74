"""`RecordedReader`: what the readers of recorded driving share. A file is read whole and sound, or it is a Problem."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusegpt.data.driving import DrivingData
from fusegpt.data.sample import DataError, Problem, Sample


class BrokenFileError(Exception):
    """One file of a data set cannot be used; the reader leaves its frame out, or refuses the data set."""

    def __init__(self, file: Path | str, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.problem = Problem(str(file), message)


class RecordedReader(ABC):
    """A data set on disk: drives of numbered moments, each a `Sample` or left out because of a Problem."""

    def __init__(self, config: DrivingData) -> None:
        self._config = config
        self._problems: dict[Problem, None] = {}  # a dict keeps the order, and a file broken twice is one problem

    @property
    def problems(self) -> list[Problem]:
        return list(self._problems)

    @abstractmethod
    def drives(self) -> list[str]: ...

    @abstractmethod
    def moments(self, drive: str) -> Sequence[int]:
        """The numbers of the frames to be read, before `stride`."""

    @abstractmethod
    def sample(self, drive: str, moment: int) -> Sample | None:
        """One sample; None where the drive has too little future left. Raises BrokenFileError."""

    def frames(self, drive: str) -> int:
        return len(self._chosen_moments(drive))

    def samples(self, drive: str) -> Iterator[Sample]:
        for moment in self._chosen_moments(drive):
            try:
                sample = self.sample(drive, moment)
            except BrokenFileError as broken:
                self.report(broken)
                continue
            if sample is not None:
                yield sample

    def _chosen_moments(self, drive: str) -> Sequence[int]:
        try:
            return self.moments(drive)[:: self._config.stride]
        except BrokenFileError as broken:
            self.report(broken)
            return ()

    def report(self, broken: BrokenFileError) -> None:
        """Note what is broken. Raises DataError where `on_problem` is "refuse"."""
        self._problems[broken.problem] = None
        if self._config.on_problem == "refuse":
            raise DataError(f"{broken.problem} (data.on_problem is refuse; skip leaves the frame out)")


def existing(root: str) -> Path:
    """`data.root` as a folder. Raises DataError where there is none."""
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"data.root: {root} is no folder")
    return folder


def chosen(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The drives that `data.drives` names, sorted; all where it is empty.

    A part may fit many drives: "Town05" is a town. Raises DataError where a part fits none.
    """
    for part in wanted:
        if not any(part in name for name in names):
            raise DataError(f"data.drives: none of the {len(names)} drives has {part!r} in its name")
    return sorted(name for name in names if not wanted or any(part in name for part in wanted))


def inside(root: Path, relative: object) -> Path:
    """A path that a data set's own table names. It must stay within the data set."""
    path = root / str(relative)
    if not path.resolve().is_relative_to(root.resolve()):
        raise BrokenFileError(path, f"lies outside {root}")
    return path


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises BrokenFileError where it is missing or empty."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenFileError(path, "is missing" if isinstance(error, FileNotFoundError) else str(error)) from None
    if not content:
        raise BrokenFileError(path, "is empty")
    return content


def read_json(path: Path) -> Any:
    """A JSON file. Raises BrokenFileError."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise BrokenFileError(path, f"is no JSON: {error}") from None


def read_image(path: Path, size: tuple[int, int] | None = None, mode: str = "RGB") -> NDArray[np.uint8]:
    """(H, W, 3) uint8, or (H, W) in mode "L". Raises BrokenFileError, also where the image is not `size` (w, h)."""
    try:
        with Image.open(path) as image:
            if size is not None and image.size != size:
                raise BrokenFileError(path, f"is {image.width} x {image.height} pixels, not {size[0]} x {size[1]}")
            return np.asarray(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    except FileNotFoundError:
        raise BrokenFileError(path, "is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenFileError(path, f"is no readable image: {error}") from None


def finite(path: Path, table: Mapping[str, Any], key: str) -> float:
    """A number of a JSON record. Raises BrokenFileError where it is missing, no number or not finite."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise BrokenFileError(path, f"{key} is {value!r}, not a finite number")
    return float(value)


def sound_sweep(path: Path, points: NDArray[np.generic]) -> NDArray[np.float32]:
    """(N, 4) float32. Raises BrokenFileError where there is no point or one that is not finite."""
    if points.ndim != 2 or points.shape[1] != 4 or points.dtype.kind not in "fiu":
        raise BrokenFileError(
            path, f"holds an array of shape {points.shape} and type {points.dtype}, not numbers (N, 4)"
        )
    if len(points) == 0:
        raise BrokenFileError(path, "holds no point")
    sweep = points.astype(np.float32)
    if not np.isfinite(sweep).all():
        raise BrokenFileError(path, f"{int((~np.isfinite(sweep)).any(1).sum())} of {len(sweep)} points are not finite")
    return sweep


def projection(intrinsics: NDArray[np.float64], frame_to_camera: NDArray[np.float64]) -> NDArray[np.float32]:
    """(3, 3) pixels of a camera and (4, 4) the sample's frame -> camera (z ahead): (3, 4) float32."""
    return (intrinsics @ frame_to_camera[:3]).astype(np.float32)
