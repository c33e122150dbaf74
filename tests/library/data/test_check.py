from __future__ import annotations

from kitti_folder import KittiFolder

from fusegpt.data import KittiData
from fusegpt.data.check import check


def test_a_check_says_what_is_there_and_what_is_broken_even_where_training_would_refuse(kitti: KittiFolder) -> None:
    broken = kitti.file(kitti.drive(1, frames=40, speed=7.0), "image_02", 3)
    broken.unlink()
    kitti.drive(2, frames=30, speed=4.0)
    followed: list[tuple[int, int]] = []
    config = KittiData(root=str(kitti.root), on_problem="refuse")
    report = check(config, lambda done, of: followed.append((done, of)))
    first, second = report.drives
    assert (first.frames, first.usable, first.max_speed_mps) == (40, 19, 7.0)
    assert (second.frames, second.usable, second.min_speed_mps) == (30, 10, 4.0)
    assert second.seconds == 0.9
    assert [problem.file for problem in report.problems] == [str(broken)]
    assert report.usable == 29
    assert followed == [(1, 2), (2, 2)]
    assert f"problem: {broken}: is missing" in str(report)
    assert "29 samples of 2 drives, 1 problems" in str(report)


def test_the_source_changes_with_any_file(kitti: KittiFolder) -> None:
    folder = kitti.drive(1, frames=22)
    config = KittiData(root=str(kitti.root))
    before = check(config).source
    assert check(config).source == before
    kitti.file(folder, "image_02", 21).unlink()
    assert check(config).source != before


def test_a_drive_without_a_usable_frame_is_listed_with_none(kitti: KittiFolder) -> None:
    kitti.drive(1, frames=5)
    (drive,) = check(KittiData(root=str(kitti.root))).drives
    assert (drive.frames, drive.usable, drive.seconds) == (5, 0, 0.0)
