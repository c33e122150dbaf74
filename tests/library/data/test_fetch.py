from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from kitti_folder import KittiFolder
from kitti_site import Site, serving, zipped, zipped_folder

from fusegpt.config import SettingError
from fusegpt.data import KittiData
from fusegpt.data.download import DownloadError, download
from fusegpt.data.fetch import FetchError, fetch_kitti
from fusegpt.data.sample import DataError

DRIVE = "2011_09_26_drive_0001"
ARCHIVE = f"{DRIVE}/{DRIVE}_sync.zip"
CALIBRATION = "2011_09_26_calib.zip"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """KITTI's site with one drive of 25 frames, which also has parts that the reader does not need."""
    original = KittiFolder(tmp_path / "original")
    folder = original.drive(1, frames=25)
    (folder / "image_03" / "data").mkdir(parents=True)
    (folder / "image_03" / "data" / "0000000000.png").write_bytes(b"not needed")
    site = Site()
    site.files[ARCHIVE] = zipped_folder(folder, original.root)
    site.files[CALIBRATION] = zipped(
        {f"2011_09_26/{path.name}": path.read_bytes() for path in original.date.glob("calib_*.txt")}
    )
    with serving(site):
        yield site


def fetch(site: Site, destination: Path, *drives: str) -> list[Path]:
    return fetch_kitti(drives or ("0001",), destination, base_url=site.url, pause_s=0.0)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fetched_drive_is_what_the_reader_reads_and_nothing_else(site: Site, tmp_path: Path) -> None:
    folders = fetch(site, tmp_path / "kitti")
    assert folders == [tmp_path / "kitti" / "2011_09_26" / f"{DRIVE}_sync"]
    reader = KittiData(root=str(tmp_path / "kitti")).reader()
    assert len(list(reader.samples(f"{DRIVE}_sync"))) == 5
    assert reader.problems == []
    got, original = everything(tmp_path / "kitti" / "2011_09_26"), everything(tmp_path / "original" / "2011_09_26")
    assert got == {name: content for name, content in original.items() if "image_03" not in name}


def test_what_is_there_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path / "kitti")
    before = len(site.requests)
    fetch(site, tmp_path / "kitti", "1", DRIVE, f"{DRIVE}_sync")
    assert len(site.requests) == before == 2


def test_a_connection_that_breaks_midway_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.break_after = [10_000_000, 3000, 2000]
    (folder,) = fetch(site, tmp_path / "kitti")
    assert [wanted for path, wanted in site.requests if path.endswith("sync.zip")] == ["", "bytes=3000-", "bytes=5000-"]
    assert len(everything(folder)) == 76


def test_an_interrupted_fetch_goes_on_at_the_next_call(site: Site, tmp_path: Path) -> None:
    site.break_after = [10_000_000, *[0] * 5]
    with pytest.raises(FetchError, match=r"sync\.zip: broken off 5 times after 0 bytes .*run it again"):
        fetch(site, tmp_path / "kitti")
    part = tmp_path / "kitti" / ".downloads" / f"{DRIVE}_sync.zip.part"
    part.write_bytes(site.files[ARCHIVE][:4000])
    fetch(site, tmp_path / "kitti")
    assert site.requests[-1][1] == "bytes=4000-"


def test_a_server_that_cannot_resume_sends_it_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.break_after = [10_000_000, 3000]
    (folder,) = fetch(site, tmp_path / "kitti")
    assert len(everything(folder)) == 76


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.break_after = [3000] * 50
    with pytest.raises(DownloadError, match="broken off 5 times after 3000 bytes"):
        download(site.url + ARCHIVE, tmp_path / "file.zip", pause_s=0.0)
    assert not (tmp_path / "file.zip").exists()


def test_a_part_that_is_whole_already_is_taken(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(site.files[ARCHIVE])
    download(site.url + ARCHIVE, tmp_path / "file.zip", pause_s=0.0)
    assert (tmp_path / "file.zip").read_bytes() == site.files[ARCHIVE]


def test_a_part_that_is_longer_than_the_file_starts_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(site.files[ARCHIVE] + b"more")
    download(site.url + ARCHIVE, tmp_path / "file.zip", pause_s=0.0)
    assert (tmp_path / "file.zip").read_bytes() == site.files[ARCHIVE]


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.failures = [503, 500]
    assert fetch(site, tmp_path / "kitti")


def test_a_part_of_another_file_is_noticed_and_fetched_anew(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "kitti" / ".downloads" / f"{DRIVE}_sync.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(5000))
    (folder,) = fetch(site, tmp_path / "kitti")
    assert len(everything(folder)) == 76


def test_an_archive_with_flipped_bits_is_never_unpacked(site: Site, tmp_path: Path) -> None:
    content = bytearray(site.files[ARCHIVE])
    content[2000:2040] = bytes(40)
    site.files[ARCHIVE] = bytes(content)
    with pytest.raises(FetchError, match="came damaged twice"):
        fetch(site, tmp_path / "kitti")
    assert [path.name for path in (tmp_path / "kitti" / "2011_09_26").iterdir() if path.is_dir()] == []


def test_progress_follows_the_bytes_of_each_file(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    fetch_kitti(["0001"], tmp_path, base_url=site.url, progress=lambda *at: told.append(at))
    sizes = {
        name: len(site.files[address]) for name, address in ((CALIBRATION, CALIBRATION), (f"{DRIVE}_sync.zip", ARCHIVE))
    }
    assert {name: done for done, of, name in told if done == of} == sizes


def test_a_drive_that_the_site_does_not_have_names_its_address(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"http://127.*drive_0099_sync.zip: the server answers 404"):
        fetch(site, tmp_path / "kitti", "0099")


@pytest.mark.parametrize("written", ["x", "00001", "2011_09_26", "../0001", ""])
def test_a_name_that_is_no_drive_is_told_before_anything_is_fetched(site: Site, tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingError, match="write 0001"):
        fetch(site, tmp_path, "0001", written)
    assert site.requests == []


def test_another_date_is_written_with_the_drive_or_beside_it(site: Site, tmp_path: Path) -> None:
    for drives, date in ((["2011_09_28_drive_0001"], "2011_09_26"), (["0001"], "2011_09_28")):
        with pytest.raises(FetchError, match=r"2011_09_28_calib\.zip"):
            fetch_kitti(drives, tmp_path, date=date, base_url=site.url)
    with pytest.raises(SettingError, match=r"date: '26\.9\.' is no day"):
        fetch_kitti(["0001"], tmp_path, date="26.9.", base_url=site.url)


def hostile(name: str, link: bool = False) -> bytes:
    content = {f"2011_09_26/{DRIVE}_sync/{part}/data/0": b"x" for part in ("image_02", "velodyne_points", "oxts")}
    buffer = BytesIO(zipped(content))
    with zipfile.ZipFile(buffer, "a") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFLNK | 0o777) << 16 if link else 0
        archive.writestr(member, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "link", "message"),
    [
        ("../../evil", False, "leads out"),
        ("/tmp/evil", False, "leads out"),
        (f"2011_09_26/{DRIVE}_sync/image_02/../../../../evil", False, "leads out"),
        (f"2011_09_26\\..\\{DRIVE}_sync/image_02/evil", False, "leads out"),
        (f"2011_09_26/{DRIVE}_sync/image_02/data/1", True, "is a link"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused_whole(
    site: Site, tmp_path: Path, name: str, link: bool, message: str
) -> None:
    site.files[ARCHIVE] = hostile(name, link)
    with pytest.raises(FetchError, match=message):
        fetch(site, tmp_path / "kitti")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "kitti" / "2011_09_26" / f"{DRIVE}_sync").exists()


def test_an_archive_that_would_grow_out_of_proportion_is_refused(site: Site, tmp_path: Path) -> None:
    site.files[ARCHIVE] = zipped({f"2011_09_26/{DRIVE}_sync/image_02/data/0000000000.png": bytes(30 << 20)})
    with pytest.raises(FetchError, match="would grow to"):
        fetch(site, tmp_path / "kitti")


def test_an_archive_without_a_needed_part_says_which(site: Site, tmp_path: Path) -> None:
    site.files[ARCHIVE] = zipped({f"2011_09_26/{DRIVE}_sync/image_02/data/0": b"x"})
    with pytest.raises(FetchError, match=f"holds no 2011_09_26/{DRIVE}_sync/oxts"):
        fetch(site, tmp_path / "kitti")
    site.files["2011_10_03_calib.zip"] = zipped({"2011_10_03/calib_cam_to_cam.txt": b"x"})
    with pytest.raises(FetchError, match=r"holds no 2011_10_03/calib_imu_to_velo\.txt"):
        fetch(site, tmp_path / "kitti", "2011_10_03_drive_0001")


def test_what_a_killed_fetch_left_is_no_drive_and_is_cleared_away(site: Site, tmp_path: Path) -> None:
    left = tmp_path / "kitti" / "2011_09_26" / f".{DRIVE}_sync.unpacking"
    (left / "oxts").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no drive"):
        KittiData(root=str(tmp_path / "kitti")).reader()
    fetch(site, tmp_path / "kitti")
    assert not left.exists()
