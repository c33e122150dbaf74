"""The packed form that training reads: memory-mapped arrays, made once for a data set, split by drive or time.

Shapes: B batch, (H, W) image, (C, h, w) bird's-eye view, T horizons.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.data.driving import DrivingData
from fusegpt.data.packing import MANIFEST, ensure, fingerprint, pack
from fusegpt.data.sample import Problem
from fusegpt.data.splits import PARTS, assign
from fusegpt.tasks.task import Batch, Splits

FORMAT = 1
# Settings that change nothing of what is packed.
NOT_PACKED = {"root", "splits", "flip_probability"}
ALWAYS = ("image", "lidar", "speed_mps", "target_point", "waypoints", "projection", "drive", "frame", "time_s")
IN_BATCH = ("image", "lidar", "speed_mps", "target_point", "waypoints")


def open_splits(config: DrivingData, cache: Path, progress: Callable[[int, int], None] | None = None) -> Splits:
    """The three parts of a data set, packed under `cache` on first use. `progress(done, about)` follows the packing.

    Raises DataError naming the file or the setting, SettingError for drives that do not exist.
    """
    packed = open_pack(config, cache, progress)
    parts = assign(packed.times(), config.splits)
    codes = np.empty(len(packed), np.int8)
    drive = packed.array("drive")
    for number, name in enumerate(packed.drives):
        codes[drive == number] = parts[name]
    splits = {part: PackedSplit(packed, np.flatnonzero(codes == code), config) for part, code in PARTS.items()}
    return Splits(**splits, fingerprint=packed.fingerprint)


def open_pack(config: DrivingData, cache: Path, progress: Callable[[int, int], None] | None = None) -> Pack:
    """The whole data set. Raises DataError, also where something is broken and `data.on_problem` is "refuse"."""
    folder = Path(cache) / f"{source_of(config)}-{key_of(config)}"
    ensure(folder, is_whole, lambda temporary: pack(config.reader(), config, temporary, progress))
    return Pack(folder)


def source_of(config: DrivingData) -> str:
    """The name of the reader: "kitti"."""
    return str(getattr(config, "source", "driving"))


def key_of(config: DrivingData) -> str:
    """Names what a pack was made of: the settings that reach it, and name, size and time of every source file."""
    settings = config.model_dump(mode="json", exclude=NOT_PACKED)
    digest = hashlib.sha256(json.dumps([FORMAT, settings], sort_keys=True).encode())
    for line in source_listing(Path(config.root).expanduser()) if hasattr(config, "root") else ():
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def source_listing(root: Path) -> Iterator[str]:
    """Name, size and time of every file under `root`, sorted; hidden ones are no data."""
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (path := Path(folder, name)).exists():
                stat = path.stat()
                yield f"{path.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}\n"


def is_whole(folder: Path) -> bool:
    """Whether every array that the manifest promises is there in its full size."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        arrays = manifest["arrays"]
        sizes = {name: (folder / f"{name}.npy").stat().st_size for name in arrays}
        return (
            set(ALWAYS) <= set(arrays)
            and manifest["fingerprint"] == fingerprint(arrays)
            and all(sizes[name] == arrays[name]["bytes"] for name in arrays)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Pack:
    """One packed data set. Arrays are mapped on first use, so that it travels to other processes as a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return int(self.manifest["samples"])

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text())
        return content

    @property
    def fingerprint(self) -> str:
        """sha256 of the packed content."""
        return str(self.manifest["fingerprint"])

    @property
    def drives(self) -> list[str]:
        return list(self.manifest["drives"])

    @property
    def labels(self) -> list[str]:
        """The arrays that only some data sets have: "label_depth_m"."""
        return [name for name in self.manifest["arrays"] if name.startswith("label_")]

    @property
    def problems(self) -> list[Problem]:
        """What was left out when it was packed."""
        return [Problem(**problem) for problem in self.manifest["problems"]]

    def array(self, name: str) -> NDArray[Any]:
        """One array, (N, ...), mapped read-only."""
        if name not in self._open:
            self._open[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return self._open[name]

    def times(self) -> dict[str, NDArray[np.float64]]:
        """Drive -> the times of its samples in seconds."""
        drive, time_s = self.array("drive"), self.array("time_s")
        return {name: np.asarray(time_s[drive == number]) for number, name in enumerate(self.drives)}


@dataclass(frozen=True)
class Moment:
    """Which moment of driving a sample is. projection: (3, 4), the sample's frame -> pixels of the packed image."""

    drive: str
    frame: int
    time_s: float
    projection: NDArray[np.float32]


class PackedSplit:
    """One part of a packed data set, read by index."""

    def __init__(self, packed: Pack, rows: NDArray[np.int64], config: DrivingData) -> None:
        self.pack = packed
        self.rows = rows
        self.grid = config.lidar
        self.flip_probability = config.flip_probability

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """The samples at `indices`, stacked: {"image" (B, 3, H, W) uint8, "lidar" (B, C, h, w) float32 in 0..1,
        "speed_mps" (B, 1), "target_point" (B, 2), "waypoints" (B, T, 2), "label_<name>" where the data has them}.

        With `rng`, some samples are mirrored from left to right: which ones depends on the state of `rng` and on
        the sample, not on the other samples of the batch.
        """
        rows = self.rows[indices]
        batch = {name: torch.from_numpy(self.pack.array(name)[rows]) for name in (*IN_BATCH, *self.pack.labels)}
        batch["lidar"] = batch["lidar"].float() / self.grid.max_points_per_cell
        if rng is not None and self.flip_probability:
            mirrored = torch.from_numpy(_chance(rng, rows) < self.flip_probability)
            self._mirror(batch, mirrored)
        return batch

    def sample_of(self, index: int) -> Moment:
        """Which moment the sample at `index` is."""
        row = self.rows[index]
        return Moment(
            drive=self.pack.drives[int(self.pack.array("drive")[row])],
            frame=int(self.pack.array("frame")[row]),
            time_s=float(self.pack.array("time_s")[row]),
            projection=np.array(self.pack.array("projection")[row]),
        )

    def _mirror(self, batch: Batch, which: torch.Tensor) -> None:
        """Swap left and right of the samples that `which` (B,) picks, in place."""
        sideways = self.grid.lateral_axis - 3  # counted from the end: the same with and without channels
        for name, values in batch.items():
            if name in ("target_point", "waypoints"):
                values[which, ..., 1] *= -1
            elif name != "speed_mps":
                axis = sideways if name in ("lidar", "label_bev_semantics") else -1
                values[which] = values[which].flip(axis)


def _chance(rng: np.random.Generator, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B,) in 0..1 from one draw and each row's number (the mixing steps of SplitMix64)."""
    mixed = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + rng.integers(2**64, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    chance: NDArray[np.float64] = (mixed ^ (mixed >> np.uint64(31))) / 2.0**64
    return chance
