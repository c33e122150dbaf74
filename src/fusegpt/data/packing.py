"""Writes a packed data set: one pass over a reader, each array a growing .npy, the folder renamed when it is whole.

<cache>/<source>-<key>/manifest.json   what the folder must hold, and the fingerprint of its content
                      /image.npy       (N, 3, H, W) uint8      /lidar.npy         (N, C, h, w) uint8 counts
                      /speed_mps.npy   (N, 1) float32          /target_point.npy  (N, 2) float32
                      /waypoints.npy   (N, T, 2) float32       /projection.npy    (N, 3, 4) float32, onto `image`
                      /drive.npy       (N,) int32              /frame.npy (N,) int64, /time_s.npy (N,) float64
                      /label_<name>.npy                        where the data has labels
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fusegpt.data.driving import DrivingData
from fusegpt.data.image import picked, rescaled, resized
from fusegpt.data.lidar import counts
from fusegpt.data.lock import locked
from fusegpt.data.sample import DataError, Reader, Sample

MANIFEST = "manifest.json"
LOCK_SUFFIX = ".lock"
TEMPORARY = ".packing-"

Progress = Callable[[int, int], None]
Row = dict[str, NDArray[Any]]


def row_of(sample: Sample, drive: int, config: DrivingData) -> Row:
    """What the pack keeps of a sample."""
    height, width = config.image_height_px, config.image_width_px
    return {
        "image": resized(sample.image, height, width),
        "lidar": counts(sample.sweep, config.lidar),
        "speed_mps": np.array([sample.speed_mps], np.float32),
        "target_point": np.asarray(sample.target_point, np.float32),
        "waypoints": np.asarray(sample.waypoints, np.float32),
        "projection": rescaled(sample.projection, sample.image.shape, height, width),
        "drive": np.array(drive, np.int32),
        "frame": np.array(sample.frame, np.int64),
        "time_s": np.array(sample.time_s, np.float64),
        **{f"label_{name}": _label(name, label, height, width) for name, label in sample.labels.items()},
    }


def _label(name: str, label: NDArray[Any], height_px: int, width_px: int) -> NDArray[Any]:
    """A map of the image takes the image's packed size; one of the ground keeps its own."""
    return label if name == "bev_semantics" else picked(label, height_px, width_px)


class GrowingArray:
    """A .npy file that rows are added to. NumPy pads its header so that the first axis can grow in place."""

    def __init__(self, path: Path, row: NDArray[Any]) -> None:
        self.path, self.dtype, self.row_shape, self.rows = path, row.dtype, row.shape, 0
        self._file: IO[bytes] = path.open("wb")
        self._digest = hashlib.sha256()
        self._header()

    def append(self, row: NDArray[Any]) -> None:
        """Add one row. Raises DataError where it is of another shape or type than the first."""
        if row.shape != self.row_shape or row.dtype != self.dtype:
            raise DataError(
                f"data: {self.path.stem} is {row.shape} {row.dtype} here and {self.row_shape} {self.dtype} before"
            )
        content = np.ascontiguousarray(row).tobytes()
        self._file.write(content)
        self._digest.update(content)
        self.rows += 1

    def close(self) -> dict[str, Any]:
        """The entry of the manifest."""
        self._file.seek(0)
        self._header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {
            "dtype": self.dtype.str,
            "shape": [self.rows, *self.row_shape],
            "bytes": self.path.stat().st_size,
            "sha256": self._digest.hexdigest(),
        }

    def abandon(self) -> None:
        self._file.close()

    def _header(self) -> None:
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, *self.row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


class Writer:
    """The arrays of one pack. All samples must have the same ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrays: dict[str, GrowingArray] = {}

    def append(self, row: Row) -> None:
        if not self._arrays:
            self._arrays = {name: GrowingArray(self._folder / f"{name}.npy", value) for name, value in row.items()}
        if missing := set(self._arrays) ^ set(row):
            raise DataError(f"data: {', '.join(sorted(missing))} is there for some samples only")
        for name, value in row.items():
            self._arrays[name].append(value)

    def close(self) -> dict[str, dict[str, Any]]:
        """Array name -> its entry of the manifest."""
        return {name: array.close() for name, array in self._arrays.items()}

    def abandon(self) -> None:
        for array in self._arrays.values():
            array.abandon()


def pack(reader: Reader, config: DrivingData, folder: Path, progress: Progress | None = None) -> None:
    """Write every sample of `reader` into `folder`. `progress(done, about)` is told after each.

    Raises DataError where there is none.
    """
    drives = reader.drives()
    about, done = sum(reader.frames(drive) for drive in drives), 0
    writer = Writer(folder)
    try:
        for number, drive in enumerate(drives):
            for sample in reader.samples(drive):
                writer.append(row_of(sample, number, config))
                done += 1
                if progress:
                    progress(done, about)
        entries = writer.close()
    except BaseException:
        writer.abandon()
        raise
    if not done:
        raise DataError(_nothing(reader, about))
    manifest = {
        "samples": done,
        "drives": drives,
        "arrays": entries,
        "problems": [{"file": problem.file, "message": problem.message} for problem in reader.problems],
        "fingerprint": fingerprint(entries),
    }
    _write_json(folder / MANIFEST, manifest)


def fingerprint(entries: dict[str, dict[str, Any]]) -> str:
    """One hash of all that was packed: names, types, shapes and bytes."""
    text = json.dumps(
        {name: [entry["dtype"], entry["shape"], entry["sha256"]] for name, entry in entries.items()}, sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def ensure(folder: Path, is_whole: Callable[[Path], bool], make: Callable[[Path], None]) -> None:
    """`folder`, made once however many processes ask for it at once: one makes it, the others wait.

    `make` fills a temporary folder beside it, which then takes the name. What a killed process left is removed.
    """
    if is_whole(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + LOCK_SUFFIX)):
        if is_whole(folder):
            return
        for left in folder.parent.glob(f"{TEMPORARY}{folder.name}-*"):
            shutil.rmtree(left, ignore_errors=True)  # whoever held the lock before was killed
        temporary = folder.with_name(f"{TEMPORARY}{folder.name}-{secrets.token_hex(4)}")
        try:
            temporary.mkdir()
            make(temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _nothing(reader: Reader, about: int) -> str:
    problems = reader.problems
    told = f"; the first of {len(problems)} problems: {problems[0]}" if problems else ""
    return f"data: none of about {about} frames can be used{told}"


def _write_json(path: Path, content: object) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)
