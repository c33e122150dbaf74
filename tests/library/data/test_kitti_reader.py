from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kitti_folder import KittiFolder, record
from numpy.typing import NDArray
from PIL import Image

from fusegpt.config import SettingError
from fusegpt.data import KittiData
from fusegpt.data.kitti_reader import KittiReader
from fusegpt.data.sample import DataError, Sample


def read(kitti: KittiFolder, **settings: object) -> tuple[list[Sample], KittiReader]:
    reader = KittiData.model_validate({"root": str(kitti.root), **settings}).reader()
    return [sample for drive in reader.drives() for sample in reader.samples(drive)], reader


def test_a_straight_drive_has_waypoints_straight_ahead(kitti: KittiFolder) -> None:
    kitti.drive(frames=40, speed=10.0)
    samples, reader = read(kitti)
    assert reader.problems == []
    assert len(samples) == 20, "the last 2 s have no future"
    first = samples[0]
    np.testing.assert_allclose(first.waypoints, [[5, 0], [10, 0], [15, 0], [20, 0]], atol=1e-4)
    np.testing.assert_allclose(first.target_point, [20, 0], atol=1e-4)
    assert (first.drive, first.frame, first.time_s, first.speed_mps) == ("2011_09_26_drive_0001_sync", 0, 0.0, 10.0)
    assert first.sweep.shape == (50, 4)
    assert first.image.shape == (30, 100, 3)


def test_a_left_turn_has_waypoints_to_the_left(kitti: KittiFolder) -> None:
    kitti.drive(frames=60, speed=5.0, yaw_rate=0.3)
    samples, _ = read(kitti)
    turned = 0.3 * np.array([0.5, 1.0, 1.5, 2.0])
    radius = 5.0 / 0.3
    imu = np.stack([radius * np.sin(turned), radius * (1 - np.cos(turned))], axis=1)
    lever = np.array([0.8, -0.3])  # the LiDAR as seen from the IMU
    swung = np.stack([np.cos(turned) * 0.8 + np.sin(turned) * 0.3, np.sin(turned) * 0.8 - np.cos(turned) * 0.3], axis=1)
    np.testing.assert_allclose(samples[0].waypoints, imu + swung - lever, atol=5e-3)


def test_times_come_from_the_timestamps_at_any_rate(kitti: KittiFolder) -> None:
    kitti.drive(frames=40, speed=10.0, rate_hz=7.3)
    samples, _ = read(kitti)
    np.testing.assert_allclose(samples[3].waypoints[:, 0], [5, 10, 15, 20], atol=1e-3)
    assert samples[3].time_s == pytest.approx(3 / 7.3, abs=1e-5)


def test_a_target_beyond_the_end_of_the_drive_lies_straight_on(kitti: KittiFolder) -> None:
    kitti.drive(frames=40, speed=10.0)
    samples, _ = read(kitti, target_distance_m=60.0)
    np.testing.assert_allclose([sample.target_point for sample in samples], [[60.0, 0.0]] * len(samples), atol=1e-3)


def test_positions_by_gps_are_those_of_the_mercator_projection(kitti: KittiFolder) -> None:
    folder = kitti.drive(frames=40)
    metre = 1 / (6378137.0 * np.deg2rad(1.0) * np.cos(np.deg2rad(49.0)))
    for frame in range(40):
        text = record(yaw=0.0, speed=3.0, longitude=8.4 + frame * metre)
        kitti.file(folder, "oxts", frame).write_text(text)
    samples, _ = read(kitti, poses="gps")
    np.testing.assert_allclose(samples[0].waypoints, [[5, 0], [10, 0], [15, 0], [20, 0]], atol=1e-2)
    assert samples[0].speed_mps == 3.0


def test_the_projection_follows_the_size_of_the_image(kitti: KittiFolder) -> None:
    folder = kitti.drive(frames=25)
    full = np.zeros((375, 1242, 3), np.uint8)
    Image.fromarray(full).save(kitti.file(folder, "image_02", 1))
    small, large = read(kitti)[0][:2]
    point = np.array([12.0, 1.0, -0.5, 1.0])

    def pixel(sample: Sample) -> NDArray[np.float64]:
        u, v, depth = sample.projection.astype(np.float64) @ point
        return np.array([(u / depth + 0.5) / sample.image.shape[1], (v / depth + 0.5) / sample.image.shape[0]])

    np.testing.assert_allclose(pixel(small), pixel(large), atol=1e-5)
    # P_rect_02 @ Tr_velo_to_cam @ point by hand: camera x = -y, y = -z - 0.08, z = x - 0.27.
    depth = 12.0 - 0.27 + 0.003
    u = (720 * -1.0 + 610 * (12.0 - 0.27) + 45) / depth
    assert pixel(large)[0] * 1242 - 0.5 == pytest.approx(u, abs=1e-2)


def test_the_folder_of_one_date_is_a_root_too(kitti: KittiFolder) -> None:
    kitti.drive(frames=25)
    assert KittiData(root=str(kitti.date)).reader().drives() == ["2011_09_26_drive_0001_sync"]


def test_only_chosen_drives_are_read(kitti: KittiFolder) -> None:
    for number in (1, 5, 27):
        kitti.drive(number, frames=22)
    reader = KittiData(root=str(kitti.root), drives=("0027", "0001")).reader()
    assert reader.drives() == ["2011_09_26_drive_0001_sync", "2011_09_26_drive_0027_sync"]
    with pytest.raises(SettingError, match=r"data.drives: '0099' is no drive"):
        KittiData(root=str(kitti.root), drives=("0099",)).reader()


@pytest.mark.parametrize("root", ["nowhere", "empty"])
def test_a_root_without_drives_is_told_by_its_setting(tmp_path: Path, root: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data.root: .*" + root):
        KittiData(root=str(tmp_path / root)).reader()


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 5])


def poison(path: Path) -> None:
    points = np.fromfile(path, "<f4")
    points[9] = np.nan
    points.tofile(path)


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a missing sweep": ("velodyne_points", Path.unlink, "is missing"),
    "an empty sweep": ("velodyne_points", lambda path: path.write_bytes(b""), "is empty"),
    "a truncated sweep": ("velodyne_points", cut, "is cut off"),
    "a sweep with NaN": ("velodyne_points", poison, "1 of 50 points are not finite"),
    "a missing image": ("image_02", Path.unlink, "is missing"),
    "an image that is none": ("image_02", lambda path: path.write_bytes(b"no png"), "is no readable image"),
    "a truncated image": ("image_02", cut, "is no readable image"),
    "an image of another shape": ("image_02", lambda path: Image.new("RGB", (64, 64)).save(path), "64 x 64 pixels"),
    "a missing record": ("oxts", Path.unlink, "is missing"),
    "a short record": ("oxts", lambda path: path.write_text("49.0 8.4 116.0"), "holds 3 numbers, not 30"),
    "a record of words": ("oxts", lambda path: path.write_text("x " * 30), "no number"),
    "a record without speed": ("oxts", lambda path: path.write_text(record(speed=float("nan"))), r"columns \[8\]"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_reported_by_file_and_its_frame_left_out(kitti: KittiFolder, case: str) -> None:
    part, spoil, message = BROKEN[case]
    path = kitti.file(kitti.drive(frames=30), part, 4)
    spoil(path)
    samples, reader = read(kitti)
    (problem,) = reader.problems
    assert problem.file == str(path)
    assert message.replace("\\", "") in problem.message
    assert [sample.frame for sample in samples] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    np.testing.assert_allclose(samples[2].waypoints[:, 0], [5, 10, 15, 20], atol=1e-3, err_msg="no hole is read as one")


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_where_the_setting_says_so(kitti: KittiFolder, case: str) -> None:
    part, spoil, message = BROKEN[case]
    path = kitti.file(kitti.drive(frames=30), part, 4)
    spoil(path)
    with pytest.raises(DataError, match=rf"(?s){path.name}.*{message}.*data.on_problem"):
        read(kitti, on_problem="refuse")


def test_nothing_is_read_across_a_long_hole_in_the_records(kitti: KittiFolder) -> None:
    folder = kitti.drive(frames=60)
    for frame in range(30, 36):
        kitti.file(folder, "oxts", frame).unlink()
    samples, reader = read(kitti)
    assert len(reader.problems) == 6
    assert [sample.frame for sample in samples] == [*range(10), *range(36, 40)]


@pytest.mark.parametrize("line", ["2011-09-26 13:02:20.000000000", "no time", ""])
def test_a_time_that_is_none_or_goes_back_is_reported_by_its_line(kitti: KittiFolder, line: str) -> None:
    folder = kitti.drive(frames=30)
    stamps = folder / "oxts" / "timestamps.txt"
    lines = stamps.read_text().splitlines()
    lines[4] = line
    stamps.write_text("\n".join(lines))
    samples, reader = read(kitti)
    (problem,) = reader.problems
    assert problem.file == str(stamps)
    assert "line 5" in problem.message
    assert 4 not in [sample.frame for sample in samples]
    assert len(samples) == 9


@pytest.mark.parametrize("name", ["calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt"])
@pytest.mark.parametrize("text", [None, "", "R: 1 2 3\nR_rect_00: 1 x\n"])
def test_a_calibration_that_is_broken_is_told_once(kitti: KittiFolder, name: str, text: str | None) -> None:
    kitti.drive(frames=25)
    path = kitti.date / name
    path.unlink() if text is None else path.write_text(text)
    samples, reader = read(kitti)
    assert samples == []
    (problem,) = reader.problems
    assert problem.file == str(path)


def test_names_in_no_order_and_foreign_files_change_nothing(kitti: KittiFolder) -> None:
    folder = kitti.drive(frames=30)
    images = folder / "image_02" / "data"
    for path in sorted(images.iterdir(), reverse=True):
        moved = path.with_suffix(".moved")
        shutil.move(path, moved)
        shutil.move(moved, path)
    (images / "thumbs.db").write_bytes(b"")
    (images / "copy of 0000000003.png").write_bytes(b"")
    samples, reader = read(kitti)
    assert [sample.frame for sample in samples] == list(range(10))
    assert reader.problems == []


def test_a_drive_without_records_leaves_the_others_readable(kitti: KittiFolder) -> None:
    shutil.rmtree(kitti.drive(1, frames=22) / "oxts")
    kitti.drive(2, frames=22)
    samples, reader = read(kitti)
    assert {sample.drive for sample in samples} == {"2011_09_26_drive_0002_sync"}
    assert len(reader.problems) == 1


def test_every_nth_frame_is_read_with_the_same_waypoints(kitti: KittiFolder) -> None:
    kitti.drive(frames=40)
    samples, reader = read(kitti, stride=5)
    assert [sample.frame for sample in samples] == [0, 5, 10, 15]
    assert reader.frames(reader.drives()[0]) == 8


@pytest.mark.parametrize(("poses", "reference"), [("dead_reckoning", "_deadreckoned"), ("gps", "")])
def test_real_drives_are_within_5_cm_of_the_reference_over_2_s(
    kitti_root: Path, kitti_reference_poses: Path, poses: str, reference: str
) -> None:
    reader = KittiData.model_validate({"root": str(kitti_root), "poses": poses}).reader()
    for drive in reader.drives():
        ours = reader.path(drive).poses
        theirs = np.loadtxt(kitti_reference_poses / drive / f"poses_velo{reference}.txt").reshape(-1, 3, 4)
        assert len(ours) == len(theirs)
        steps = 21  # at 9.7 Hz a little more than 2 s
        moved = [np.linalg.inv(ours[i])[:3] @ ours[i + steps][:, 3] for i in range(len(ours) - steps)]
        wanted = [theirs[i, :, :3].T @ (theirs[i + steps, :, 3] - theirs[i, :, 3]) for i in range(len(ours) - steps)]
        assert np.linalg.norm(np.subtract(moved, wanted), axis=1).max() < 0.05


def test_real_drives_have_no_problem_and_the_known_error_of_driving_straight_on(kitti_root: Path) -> None:
    reader = KittiData(root=str(kitti_root), drives=("0001",)).reader()
    samples = list(reader.samples(reader.drives()[0]))
    assert reader.problems == []
    ahead = np.array([[[sample.speed_mps * t, 0] for t in (0.5, 1, 1.5, 2)] for sample in samples])
    error = np.linalg.norm(ahead - [sample.waypoints for sample in samples], axis=-1)
    assert (error.mean(), error[:, -1].mean()) == pytest.approx((0.71, 1.52), abs=0.02)
