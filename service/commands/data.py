"""`fusegpt data fetch|check|pack|show`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fusegpt.config import SettingError
from fusegpt.data.driving import DrivingData
from fusegpt.data.sample import Reader, Sample
from fusegpt.experiment import Experiment
from service.cli import show as show_json
from service.commands.job import experiment_of
from service.commands.samples import Asked
from service.settings import Settings

if TYPE_CHECKING:
    from fusegpt.tasks.task import Splits


def _asked(job: str, assignments: list[str], data: str) -> tuple[Experiment, Settings]:
    settings = Settings.read()
    return experiment_of(job, assignments, data, settings), settings


def fetch(source: str, drives: str, to: Path, date: str, url: str, *, json: bool) -> None:
    """Bring drives from the data set's public site."""
    from fusegpt.data.fetch import KITTI_URL, fetch_kitti

    if source != "kitti":
        raise SettingError(f"source: {source!r} cannot be fetched; kitti can (docs/data.md says where the others are)")
    names = [drive.strip() for drive in drives.split(",") if drive.strip()]
    fetched = fetch_kitti(names, to, date=date, base_url=url or KITTI_URL, progress=_line if not json else None)
    if json:
        return show_json({"root": str(to), "drives": [str(folder) for folder in fetched]})
    typer.echo(f"{len(fetched)} drives in {to}; use them with --data kitti:{to}")
    return None


def check(job: str, assignments: list[str], data: str, *, json: bool) -> None:
    """Read every file once; exit code 1 where something is broken.

    Of driving, all that is broken; text, pictures and what is made by code end at the first thing that is.
    """
    from fusegpt.data.check import check as checked

    experiment, settings = _asked(job, assignments, data)
    if not isinstance(experiment.data, DrivingData):
        return _tell(experiment.task.build(experiment).open_splits(settings.cache), json=json)
    report = checked(experiment.data)
    if json:
        show_json(asdict(report))
    else:
        typer.echo(str(report))
    if report.problems:
        raise typer.Exit(1)
    return None


def pack(job: str, assignments: list[str], data: str, *, json: bool) -> None:
    """Make the packed form, or whatever else training reads."""
    from fusegpt.data.packed import open_splits

    experiment, settings = _asked(job, assignments, data)
    if isinstance(experiment.data, DrivingData):
        return _tell(open_splits(experiment.data, settings.cache, progress=_line if not json else None), json=json)
    return _tell(experiment.task.build(experiment).open_splits(settings.cache), json=json)


def _tell(splits: Splits, *, json: bool) -> None:
    """How many samples each part has."""
    sizes = {name: len(getattr(splits, name)) for name in ("train", "val", "test")}
    if json:
        return show_json({**sizes, "fingerprint": splits.fingerprint})
    typer.echo(f"train {sizes['train']}, val {sizes['val']}, test {sizes['test']} samples; {splits.fingerprint}")
    return None


def show(job: str, assignments: list[str], data: str, drive: str, frame: int, asked: Asked, *, json: bool) -> None:
    """Draw one sample of driving; show some of anything else."""
    from service.commands import samples

    experiment, settings = _asked(job, assignments, data)
    if isinstance(experiment.data, DrivingData):
        asked.none_of_driving()
        return _draw(experiment.data, drive, frame, asked.picture, json=json)
    for name, given in (("drive", bool(drive)), ("frame", frame >= 0)):
        if given:
            raise SettingError(f"--{name}: {experiment.data.source} has no drives; choose by --part and --at")
    return samples.show(experiment.data, settings.cache, asked, json=json)


def _draw(config: DrivingData, drive: str, frame: int, to: Path, *, json: bool) -> None:
    from fusegpt.figures.sample import draw_sample

    sample = sample_of(config.reader(), drive, frame)
    draw_sample(sample, config.lidar, to)
    if json:
        return show_json({"drive": sample.drive, "frame": sample.frame, "picture": str(to)})
    typer.echo(f"{to}: {sample.drive}, frame {sample.frame}, {sample.speed_mps:.1f} m/s")
    return None


def sample_of(reader: Reader, drive: str, frame: int) -> Sample:
    """One sample of a drive, by its part of the name; the middle one where `frame` is negative."""
    found = [name for name in reader.drives() if drive in name]
    if not found:
        raise SettingError(f"--drive: there is no {drive!r}; there are {', '.join(reader.drives()) or 'none'}")
    samples = reader.samples(found[0])
    if frame < 0:
        samples = itertools.islice(samples, reader.frames(found[0]) // 2, None)
    wanted: Callable[[Sample], bool] = lambda sample: frame < 0 or sample.frame == frame  # noqa: E731
    sample = next((sample for sample in samples if wanted(sample)), None)
    if sample is None:
        raise SettingError(f"--frame: {found[0]} has no usable frame {frame if frame >= 0 else 'in its second half'}")
    return sample


def _line(done: int, total: int, what: str = "") -> None:
    """Progress on stderr: one line that is rewritten on a terminal, ten lines elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what} {done}/{total}\033[K" + ("\n" if done == total else ""))
    elif total and (done == total or done * 10 // total != (done - 1) * 10 // total):
        sys.stderr.write(f"{what} {done}/{total}\n")
    sys.stderr.flush()
