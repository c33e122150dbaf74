"""The NAVSIM reader against a small log in OpenScene's format."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusegpt.data.navsim import NavsimData
from fusegpt.data.sample import DataError, Sample

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
POINTS = [(12.0, 0.0, 0.5, 51, 1, 2), (0.0, 3.0, 1.0, 255, 2, 0)]
ROW = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "u1"), ("ring", "u1"), ("lidar_info", "u1")])
COLOURS = {"CAM_L0": (250, 0, 0), "CAM_F0": (0, 250, 0), "CAM_R0": (0, 0, 250)}
CAMERA_TO_CAR = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])


def pcd(points: np.ndarray[Any, Any]) -> bytes:
    names = points.dtype.names or ()
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(names)}\nSIZE 4 4 4 1 1 1\nTYPE F F F U U U\nCOUNT 1 1 1 1 1 1\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA binary\n"
    )
    return header.encode() + points.tobytes() + b"\0" * 16  # nuPlan's files are padded


class Dataset:
    """One log of `count` frames at 2 Hz, driven at 5 m/s on a curve (0 is straight)."""

    def __init__(self, root: Path, curve: float = 0.0, count: int = 8) -> None:
        self.root = root
        self.images: dict[str, bytes] = {}
        self.frames = [self.frame(index, curve) for index in range(count)]
        self.save()

    def frame(self, index: int, curve: float) -> dict[str, Any]:
        along = 2.5 * index
        turn = along * curve
        x, y = (math.sin(turn) / curve, (1 - math.cos(turn)) / curve) if curve else (along, 0.0)
        heading = turn + 1.0
        c, s = math.cos(1.0), math.sin(1.0)
        can_bus = np.zeros(18)
        can_bus[:7] = [
            c * x - s * y + 664_000,
            s * x + c * y + 3_997_000,
            600,
            math.cos(heading / 2),
            0,
            0,
            math.sin(heading / 2),
        ]
        lidar = f"{LOG}/MergedPointCloud/{index:04x}.pcd"
        self.blob(lidar).write_bytes(pcd(np.array(POINTS, dtype=ROW)))
        return {
            "token": f"{index:016x}", "timestamp": 1_620_000_000_000_000 + 500_000 * index, "log_name": LOG,
            "lidar_path": lidar, "cams": {name: self.camera(name, index) for name in COLOURS},
            "can_bus": can_bus, "ego2global_translation": can_bus[:3], "ego2global_rotation": can_bus[3:7],
            "ego_dynamic_state": [5.0, 0.0, 0.1, 0.0], "driving_command": np.array([0, 1, 0, 0]),
            "anns": {"gt_names": np.array(["vehicle", "pedestrian"]), "gt_boxes": np.zeros((2, 7))},
        }  # fmt: skip

    def camera(self, name: str, index: int) -> dict[str, Any]:
        path = f"{LOG}/{name}/{index:04x}.jpg"
        if name not in self.images:
            Image.new("RGB", (1920, 1080), COLOURS[name]).save(self.blob("image.jpg"))
            self.images[name] = self.blob("image.jpg").read_bytes()
        self.blob(path).write_bytes(self.images[name])
        return {
            "data_path": path,
            "sensor2lidar_rotation": CAMERA_TO_CAR, "sensor2lidar_translation": np.array([1.5, 0, 1.6]),
            "cam_intrinsic": np.array([[1545.0, 0, 960], [0, 1545.0, 560], [0, 0, 1]]), "distortion": np.zeros(5),
        }  # fmt: skip

    def blob(self, name: str) -> Path:
        path = self.root / "sensor_blobs" / "mini" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def log(self) -> Path:
        return self.root / "navsim_logs" / "mini" / f"{LOG}.pkl"

    def save(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(pickle.dumps(self.frames))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "navsim"


def read(root: Path, **settings: Any) -> list[Sample]:
    reader = NavsimData(root=str(root), **settings).reader()
    samples = [sample for drive in reader.drives() for sample in reader.samples(drive)]
    assert reader.problems == []
    return samples


def test_driving_straight_at_v_has_waypoints_v_t_ahead(root: Path) -> None:
    Dataset(root, count=7)
    samples = read(root)
    assert [sample.frame for sample in samples] == [0, 1, 2]
    for sample in samples:
        np.testing.assert_allclose(sample.waypoints, [[2.5, 0], [5, 0], [7.5, 0], [10, 0]], atol=1e-3)
        np.testing.assert_allclose(sample.target_point, [20, 0], atol=1e-3)
        assert sample.speed_mps == 5.0
    assert samples[1].time_s == pytest.approx(0.5)


def test_a_left_curve_has_positive_y_and_a_right_curve_negative(root: Path, tmp_path: Path) -> None:
    Dataset(root, curve=0.05, count=6)
    Dataset(tmp_path / "right", curve=-0.05, count=6)
    left, right = read(root)[0], read(tmp_path / "right")[0]
    assert (np.diff(left.waypoints[:, 1], prepend=0) > 0).all()
    np.testing.assert_allclose(right.waypoints, left.waypoints * [1, -1], atol=1e-3)


def test_the_merged_cloud_is_taken_as_it_is_with_its_intensity_from_0_to_1(root: Path) -> None:
    Dataset(root, count=5)
    sample = read(root)[0]
    np.testing.assert_allclose(sample.sweep, [[12, 0, 0.5, 0.2], [0, 3, 1, 1]], atol=1e-6)
    assert sample.sweep.dtype == np.float32


def test_the_strip_is_left_front_right_and_its_projection_holds_in_the_front_part(root: Path) -> None:
    Dataset(root, count=5)
    strip, ahead = read(root)[0], read(root, camera="front")[0]
    assert strip.image.shape == (1024, 4096, 3)
    assert ahead.image.shape == (1080, 1920, 3)
    assert [int(strip.image[500, column].argmax()) for column in (0, 1087, 1088, 3007, 3008, 4095)] == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    point = [11.5, 1.0, 1.6, 1.0]  # 10 m before the camera, 1 m to its left, at its height
    for sample, expected in ((ahead, [960 - 154.5, 560]), (strip, [1088 + 960 - 154.5, 532])):
        u, v, w = sample.projection @ point
        np.testing.assert_allclose([u / w, v / w], expected, atol=0.01)


def test_frames_whose_sensors_were_not_downloaded_are_no_problem(root: Path) -> None:
    data = Dataset(root, count=8)
    for frame in data.frames[1:4]:
        data.blob(frame["lidar_path"]).unlink()
        data.blob(frame["cams"]["CAM_F0"]["data_path"]).unlink()
    assert [sample.frame for sample in read(root)] == [0]


FILES: list[tuple[Callable[[dict[str, Any]], str], Callable[[Path], object], str]] = [
    (lambda frame: frame["lidar_path"], Path.unlink, "is missing"),
    (lambda frame: frame["lidar_path"], lambda p: p.write_bytes(p.read_bytes()[:-30]), "is cut short"),
    (lambda frame: frame["lidar_path"], lambda p: p.write_bytes(b"DATA binary\n"), "has no FIELDS, SIZE, TYPE, POINTS"),
    (lambda frame: frame["lidar_path"], lambda p: p.write_bytes(b"nothing of the kind"), "is no PCD"),
    (lambda frame: frame["cams"]["CAM_L0"]["data_path"], Path.unlink, "is missing"),
    (lambda frame: frame["cams"]["CAM_F0"]["data_path"], Path.unlink, "is missing"),
]


@pytest.mark.parametrize(("file", "breakage", "message"), FILES)
def test_a_broken_file_is_reported_by_its_name_and_only_its_frame_is_left_out(
    file: Callable[[dict[str, Any]], str], breakage: Callable[[Path], object], message: str, root: Path
) -> None:
    data = Dataset(root, count=7)
    path = data.blob(file(data.frames[1]))
    breakage(path)
    reader = NavsimData(root=str(root)).reader()
    assert [sample.frame for sample in reader.samples(LOG)] == [0, 2]
    assert [problem.file for problem in reader.problems] == [str(path)]
    assert message in reader.problems[0].message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ego2global_rotation": np.full(4, np.nan)}, "is no unit quaternion"),
        ({"ego_dynamic_state": [math.inf, 0, 0, 0]}, "ego_dynamic_state"),
        ({"lidar_path": None}, "has no lidar_path"),
    ],
)
def test_a_bad_frame_is_reported_and_no_waypoint_is_read_across_it(
    change: dict[str, Any], message: str, root: Path
) -> None:
    data = Dataset(root, count=11)
    data.frames[5].update(change)
    data.save()
    reader = NavsimData(root=str(root)).reader()
    assert [sample.time_s for sample in reader.samples(LOG)] == pytest.approx([0.0, 3.0])
    assert reader.problems[0].file == str(data.log)
    assert reader.problems[0].message.startswith("frame 5: ")
    assert message in reader.problems[0].message


def test_a_log_that_wants_more_than_arrays_is_not_run(root: Path, tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "planted",)

    data = Dataset(root, count=5)
    data.log.write_bytes(pickle.dumps([Planted()]))
    reader = NavsimData(root=str(root)).reader()
    assert list(reader.samples(LOG)) == []
    assert "only arrays and plain containers are read" in reader.problems[0].message
    assert not (tmp_path / "planted").exists()
    assert reader.frames(LOG) == 0


def test_a_wrong_root_or_split_is_told_by_its_setting(root: Path) -> None:
    Dataset(root, count=5)
    with pytest.raises(DataError, match=r"data\.split: .*trainval is no folder"):
        NavsimData(root=str(root), split="trainval").reader()
    (root / "navsim_logs" / "mini" / f"{LOG}.pkl").unlink()
    with pytest.raises(DataError, match="holds no log"):
        NavsimData(root=str(root)).reader()
