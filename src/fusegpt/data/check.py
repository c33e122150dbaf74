"""Reads a whole data set once and says what is in it and what is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fusegpt.data.driving import DrivingData
from fusegpt.data.packed import key_of
from fusegpt.data.sample import Problem, Reader


@dataclass(frozen=True)
class DriveReport:
    """One drive. frames: all that it has, whole or broken; usable: those that make a sample, and the following
    figures are theirs."""

    name: str
    frames: int
    usable: int
    seconds: float
    min_speed_mps: float
    max_speed_mps: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.usable} of {self.frames} frames, {self.seconds:.1f} s, "
            f"{self.min_speed_mps:.1f} to {self.max_speed_mps:.1f} m/s"
        )


@dataclass(frozen=True)
class DataReport:
    """A data set as it was found. source: a hash of the settings and of each file's name, size and time."""

    drives: list[DriveReport]
    problems: list[Problem]
    source: str

    @property
    def usable(self) -> int:
        """Samples over all drives."""
        return sum(drive.usable for drive in self.drives)

    def __str__(self) -> str:
        lines = [str(drive) for drive in self.drives]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines.append(
            f"{self.usable} samples of {len(self.drives)} drives, {len(self.problems)} problems; {self.source}"
        )
        return "\n".join(lines)


def check(config: DrivingData, progress: Callable[[int, int], None] | None = None) -> DataReport:
    """Read everything, whatever `data.on_problem` says. `progress(done, of)` follows the drives.

    Raises DataError where there is nothing to read.
    """
    reader = config.model_copy(update={"on_problem": "skip"}).reader()
    names = reader.drives()
    drives = []
    for done, name in enumerate(names, start=1):
        drives.append(_check_drive(reader, name))
        if progress:
            progress(done, len(names))
    return DataReport(drives=drives, problems=reader.problems, source=key_of(config))


def _check_drive(reader: Reader, name: str) -> DriveReport:
    seen = [(sample.time_s, sample.speed_mps) for sample in reader.samples(name)]
    times, speeds = zip(*seen, strict=True) if seen else ((0.0,), (0.0,))
    return DriveReport(
        name=name,
        frames=reader.frames(name),
        usable=len(seen),
        seconds=times[-1] - times[0],
        min_speed_mps=min(speeds),
        max_speed_mps=max(speeds),
    )
