"""Brings drives of KITTI raw from KITTI's own public site into the layout that the reader reads.

The data is (c) Karlsruhe Institute of Technology and Toyota Technological Institute at Chicago, CC BY-NC-SA 3.0.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from fusegpt.config import SettingError
from fusegpt.data.download import DownloadError, Progress, download
from fusegpt.data.lock import locked
from fusegpt.data.sample import DataError

KITTI_URL = "https://s3.eu-central-1.amazonaws.com/avg-kitti/raw_data/"
FIRST_DATE = "2011_09_26"
CALIBRATIONS = ("calib_cam_to_cam.txt", "calib_imu_to_velo.txt", "calib_velo_to_cam.txt")
WANTED = ("image_02", "velodyne_points", "oxts")
DATE = re.compile(r"\d{4}_\d\d_\d\d")
SPELLING = re.compile(r"(?:(?P<date>\d{4}_\d\d_\d\d)_drive_)?(?P<number>\d{1,4})(?:_sync)?")
# Pictures and sweeps hardly shrink and records of numbers shrink some; far more than that is no KITTI archive.
MAX_GROWTH = 12
SPARE_BYTES = 16 << 20


class FetchError(DataError):
    """Drives cannot be fetched; the message names the file and what to do."""


def fetch_kitti(
    drives: Sequence[str],
    destination: Path,
    date: str = FIRST_DATE,
    base_url: str = KITTI_URL,
    progress: Progress | None = None,
    pause_s: float = 2.0,
) -> list[Path]:
    """The folders of `drives` ("0001" of `date`, or "2011_09_28_drive_0001") under `destination`, fetched where
    they are not there. `progress(bytes, of, file)` follows the bytes.

    Whatever it is interrupted by, calling it again goes on where it stopped, and no drive is ever there in part.
    Raises SettingError for a name that is none, FetchError where the site or the disk refuses.
    """
    wanted = dict.fromkeys(drive_name(written, date) for written in drives)
    site = _Site(base_url.rstrip("/"), destination / ".downloads", progress, pause_s)
    with locked(site.downloads / "lock"):
        return [_fetch_drive(site, destination / date, name) for date, name in wanted]


def _fetch_drive(site: _Site, day: Path, name: str) -> Path:
    """The folder of one drive, with its date's calibration beside it."""
    if not all((day / file).exists() for file in CALIBRATIONS):
        site.bring(f"{day.name}_calib.zip", partial(_unpack_calibration, day=day))
    folder = day / f"{name}_sync"
    if not folder.exists():
        site.bring(f"{name}/{name}_sync.zip", partial(_unpack_drive, folder=folder))
    return folder


def drive_name(written: str, date: str = FIRST_DATE) -> tuple[str, str]:
    """ "1" or "0001" -> ("2011_09_26", "2011_09_26_drive_0001"). Raises SettingError."""
    match = SPELLING.fullmatch(written.strip())
    if match is None:
        raise SettingError(f"drives: {written!r} is no drive of KITTI raw; write 0001 or 2011_09_26_drive_0001")
    date = match["date"] or date
    if not DATE.fullmatch(date):
        raise SettingError(f"date: {date!r} is no day of KITTI raw; write it as 2011_09_26")
    return date, f"{date}_drive_{int(match['number']):04d}"


@dataclass(frozen=True)
class _Site:
    """Where archives come from, and where they lie until they are unpacked."""

    base_url: str
    downloads: Path
    progress: Progress | None
    pause_s: float

    def bring(self, name: str, unpack: Callable[[zipfile.ZipFile], None]) -> None:
        """Fetch an archive and unpack it. A damaged one is fetched once more. Raises FetchError."""
        url, archive = f"{self.base_url}/{name}", self.downloads / Path(name).name
        for last in (False, True):
            try:
                download(url, archive, self.progress, pause_s=self.pause_s)
                with zipfile.ZipFile(archive) as opened:
                    unpack(opened)
                archive.unlink()
                return
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                archive.unlink()
                if last:
                    raise FetchError(f"{url}: came damaged twice ({error}); try again later") from None
            except FetchError:
                archive.unlink()
                raise
            except (DownloadError, OSError) as error:
                raise FetchError(str(error)) from None


def _unpack_calibration(archive: zipfile.ZipFile, day: Path) -> None:
    wanted = {f"{day.name}/{file}": day / file for file in CALIBRATIONS}
    members = {member.filename: member for member in _members(archive)}
    if missing := sorted(set(wanted) - set(members)):
        raise FetchError(f"{archive.filename}: holds no {missing[0]}")
    day.mkdir(parents=True, exist_ok=True)
    for name, target in wanted.items():
        part = target.with_suffix(".part")
        _copy(archive, members[name], part)
        part.replace(target)


def _unpack_drive(archive: zipfile.ZipFile, folder: Path) -> None:
    """The wanted parts of a drive; the folder takes its name when it is whole."""
    inside = PurePosixPath(folder.parent.name, folder.name)
    members = [member for member in _members(archive) if _is_wanted(member, inside)]
    found = {PurePosixPath(member.filename).relative_to(inside).parts[0] for member in members}
    if missing := sorted(set(WANTED) - found):
        raise FetchError(f"{archive.filename}: holds no {inside / missing[0]}")
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    try:
        for member in members:
            _copy(archive, member, temporary / PurePosixPath(member.filename).relative_to(inside))
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive. Raises FetchError where a name leads out of it or the content is out of proportion."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise FetchError(f"{archive.filename}: {member.filename!r} leads out of the archive; nothing was unpacked")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise FetchError(f"{archive.filename}: {member.filename!r} is a link; nothing was unpacked")
    unpacked, packed = (sum(getattr(member, size) for member in members) for size in ("file_size", "compress_size"))
    if unpacked > MAX_GROWTH * packed + SPARE_BYTES:
        raise FetchError(f"{archive.filename}: {packed} bytes would grow to {unpacked}; nothing was unpacked")
    return members


def _is_wanted(member: zipfile.ZipInfo, inside: PurePosixPath) -> bool:
    path = PurePosixPath(member.filename)
    return path.is_relative_to(inside) and path.relative_to(inside).parts[0] in WANTED


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """One member. Its checksum is compared at its end: zipfile.BadZipFile where it differs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
