"""The CARLA readers against small routes whose geometry is known."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fusegpt.data.carla import CarlaData, target_point
from fusegpt.data.lidar import BevGrid
from fusegpt.data.sample import DataError, Sample

LAYOUTS = ("2021", "2022")
ROUTE = "Scenario1/Town05_short/route_0"


def read(root: Path, layout: str, **settings: Any) -> list[Sample]:
    reader = CarlaData(root=str(root), layout=layout, **settings).reader()  # type: ignore[arg-type]
    samples = [sample for drive in reader.drives() for sample in reader.samples(drive)]
    assert reader.problems == []
    return samples


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("heading", [0.0, 1.0, -2.5])
def test_driving_straight_at_v_has_waypoints_v_t_ahead_in_any_direction_of_the_world(
    layout: str, heading: float, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder(layout, speed=4.0)
    folder.write(ROUTE, straight_poses(4.0, 9, heading=heading))
    sample = read(folder.root, layout, margin_frames=1)[0]
    np.testing.assert_allclose(sample.waypoints, [[2, 0], [4, 0], [6, 0], [8, 0]], atol=1e-4)
    assert sample.speed_mps == 4.0
    assert (sample.drive, sample.frame, sample.time_s) == (ROUTE, 1, 0.5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_left_turn_has_waypoints_to_the_left_and_a_right_turn_to_the_right(
    layout: str, carla_folder: Any, arc_poses: Any
) -> None:
    folder = carla_folder(layout)
    folder.write("left", arc_poses(5.0, 10.0, 9))
    folder.write("right", arc_poses(5.0, -10.0, 9))
    left, right = (sample for sample in read(folder.root, layout) if sample.frame == 2)
    assert (np.diff(left.waypoints[:, 1], prepend=0) > 0).all()
    np.testing.assert_allclose(right.waypoints, left.waypoints * [1, -1], atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_point_stored_ahead_comes_out_ahead_and_one_stored_left_comes_out_left(
    layout: str, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder(layout, points=((0.0, 12.0, -1.0, 0.5), (3.0, 0.0, 2.0, 0.25)))
    folder.write(ROUTE, straight_poses(4.0, 9))
    np.testing.assert_array_equal(read(folder.root, layout)[0].sweep, [[12, 0, -1, 0.5], [0, 3, 2, 0.25]])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("heading", [0.0, 2.0])
def test_the_target_point_is_the_command_point_seen_from_the_lidar(
    layout: str, heading: float, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder(layout, command=(30.0, 5.0))
    folder.write(ROUTE, straight_poses(4.0, 9, heading=heading))
    np.testing.assert_allclose(read(folder.root, layout)[0].target_point, [30 - 1.3, 5], atol=1e-4)


@given(
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    theta=st.floats(0, 6.28),
    cx=st.floats(-50, 50),
    cy=st.floats(-50, 50),
)
def test_the_target_point_is_the_originals_turned_into_our_frame(
    x: float, y: float, theta: float, cx: float, cy: float
) -> None:
    """The original: R(theta + pi/2) transposed times (command - ego), x right and y behind."""
    turn = theta + math.pi / 2
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    right, behind = rotation.T @ [cx, cy]
    ours = target_point({"x": x, "y": y, "x_command": x + cx, "y_command": y + cy, "heading": math.pi / 2 - theta})
    np.testing.assert_allclose(ours, [-behind - 1.3, -right], atol=1e-3)


def test_the_front_camera_is_the_middle_third_of_the_stitched_image(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 9))
    stitched = read(folder.root, "2022")[0]
    front = read(folder.root, "2022", camera="front")[0]
    assert stitched.image.shape == (160, 960, 3)
    assert front.image.shape == (160, 320, 3)
    assert (front.image == 20).all()
    assert front.labels["depth_m"].shape == front.labels["semantics"].shape == (160, 320)
    for sample, centre in ((stitched, 480.0), (front, 160.0)):
        u, v, w = sample.projection @ [10.0, 0.0, -0.2, 1.0]  # at the height of the camera
        np.testing.assert_allclose([u / w, v / w], [centre, 80.0], atol=1e-4)
        left = sample.projection @ [10.0, 1.0, 0.8, 1.0]
        assert left[0] / left[2] < centre
        assert left[1] / left[2] < 80.0


def test_labels_are_metres_the_seven_classes_and_the_map_from_above(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 9))
    labels = read(folder.root, "2022")[0].labels
    np.testing.assert_allclose(labels["depth_m"], 65536 / (2**24 - 1) * 1000, rtol=1e-5)
    assert (labels["semantics"] == 2).all()
    bev = labels["bev_semantics"]
    assert bev.shape == (128, 128)
    assert bev.dtype == np.uint8
    assert (bev[:, :50] == 0).all()
    assert (bev[:, -50:] == 0).all()
    assert bev[-1, 63] == 1
    assert bev[0, 63] == 2


def test_the_map_from_above_follows_the_grid_of_the_histogram(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 9))
    up = read(folder.root, "2022", lidar=BevGrid())[0].labels["bev_semantics"]
    turned = read(folder.root, "2022", lidar=BevGrid(layout="carla_garage"))[0].labels["bev_semantics"]
    np.testing.assert_array_equal(turned[::-1, ::-1].T, up)
    far = read(folder.root, "2022", lidar=BevGrid(x_min_m=-80, x_max_m=80))[0].labels["bev_semantics"]
    assert far.shape == (640, 128)
    assert (far[0] == 0).all()


def test_without_label_folders_a_sample_has_no_labels(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2021")
    folder.write(ROUTE, straight_poses(4.0, 9))
    assert read(folder.root, "2021")[0].labels == {}


def test_margins_and_the_last_horizon_are_left_out(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 12))
    assert [sample.frame for sample in read(folder.root, "2022")] == [2, 3, 4, 5, 6, 7]
    assert [sample.frame for sample in read(folder.root, "2022", stride=3)] == [2, 5]
    assert [sample.frame for sample in read(folder.root, "2022", margin_frames=0, horizons_s=(5.5,))] == [0]


def test_a_horizon_between_two_frames_is_interpolated(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 9))
    np.testing.assert_allclose(read(folder.root, "2022", horizons_s=(0.75,))[0].waypoints, [[3, 0]], atol=1e-5)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def nan_point(path: Path) -> None:
    np.save(path, np.array([[np.nan, 0, 0, 0]], dtype=np.float32))


def no_points(path: Path) -> None:
    np.save(path, np.zeros((0, 4), dtype=np.float32))


def wrong_size(path: Path) -> None:
    Image.new("RGB", (20, 10)).save(path)


class Planted:
    """What a hostile pickle would call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo planted > planted",)


def hostile(path: Path) -> None:
    header = path.read_bytes().split(b"\n")[0] + b"\n"
    path.write_bytes(header + pickle.dumps([0, Planted()]))


BREAKAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("lidar/0003.npy", Path.unlink, "is missing"),
    ("lidar/0003.npy", truncate, "cannot be read"),
    ("lidar/0003.npy", lambda path: path.write_bytes(b"") and None, "is empty"),  # type: ignore[func-returns-value]
    ("lidar/0003.npy", nan_point, "1 of 1 points are not finite"),
    ("lidar/0003.npy", no_points, "holds no point"),
    ("lidar/0003.npy", hostile, "asks for posix.system"),
    ("rgb/0003.png", Path.unlink, "is missing"),
    ("rgb/0003.png", wrong_size, "is 20 x 10 pixels, not 960 x 160"),
    ("rgb/0003.png", truncate, "is no readable image"),
    ("depth/0003.png", Path.unlink, "is missing"),
    ("topdown/encoded_0003.png", Path.unlink, "is missing"),
]


@pytest.mark.parametrize(("file", "breakage", "message"), BREAKAGES)
def test_a_broken_file_is_reported_by_its_name_and_only_its_frame_is_left_out(
    file: str, breakage: Callable[[Path], None], message: str, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder("2022")
    route = folder.write(ROUTE, straight_poses(4.0, 12))
    breakage(route / file)
    config = CarlaData(root=str(folder.root))
    reader = config.reader()
    assert [sample.frame for sample in reader.samples(ROUTE)] == [2, 4, 5, 6, 7]
    (problem,) = reader.problems
    assert problem.file == str(route / file)
    assert message in problem.message
    list(reader.samples(ROUTE))
    assert len(reader.problems) == 1, "read twice, the same problem is still one"
    with pytest.raises(DataError, match=r"data\.on_problem"):
        list(CarlaData(root=str(folder.root), on_problem="refuse").reader().samples(ROUTE))


MEASUREMENTS: list[tuple[str, Any, str]] = [
    ("speed", float("nan"), "speed is nan"),
    ("x_command", None, "x_command is None"),
    ("ego_matrix", [[1, 2], [3]], "ego_matrix is"),
]


@pytest.mark.parametrize(("key", "value", "message"), MEASUREMENTS)
def test_a_bad_measurement_is_reported_and_no_waypoint_is_read_across_it(
    key: str, value: object, message: str, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder("2022")
    route = folder.write(ROUTE, straight_poses(4.0, 12))
    path = route / "measurements" / "0007.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    reader = CarlaData(root=str(folder.root)).reader()
    assert [sample.frame for sample in reader.samples(ROUTE)] == [2]
    assert [str(problem) for problem in reader.problems] == [f"{path}: {reader.problems[0].message}"]
    assert message in reader.problems[0].message


def test_a_compass_that_is_nan_is_reported_in_the_2021_layout(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2021")
    route = folder.write(ROUTE, straight_poses(4.0, 12))
    path = route / "measurements" / "0011.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "theta": float("nan")}))
    reader = CarlaData(root=str(folder.root), layout="2021").reader()
    assert [sample.frame for sample in reader.samples(ROUTE)] == [2, 3, 4, 5, 6]
    assert "theta is nan" in reader.problems[0].message


def test_routes_are_found_at_any_depth_and_sorted_by_name(carla_folder: Any, straight_poses: Any) -> None:
    folder = carla_folder("2022")
    for name in ("Town10/b", "Town02/z/route", "Town02/a"):
        folder.write(name, straight_poses(4.0, 9))
    reader = CarlaData(root=str(folder.root)).reader()
    assert reader.drives() == ["Town02/a", "Town02/z/route", "Town10/b"]
    assert CarlaData(root=str(folder.root), drives=("Town02",)).reader().drives() == ["Town02/a", "Town02/z/route"]
    assert reader.frames("Town02/a") == 5


def test_a_layout_may_be_written_as_the_number_that_a_spec_makes_of_it() -> None:
    assert CarlaData.model_validate({"root": "x", "layout": 2021}).layout == "2021"
    with pytest.raises(ValueError, match="layout"):
        CarlaData.model_validate({"root": "x", "layout": 2023})


def test_a_wrong_root_layout_or_drive_is_told_by_its_setting(
    tmp_path: Path, carla_folder: Any, straight_poses: Any
) -> None:
    folder = carla_folder("2022")
    folder.write(ROUTE, straight_poses(4.0, 9))
    with pytest.raises(DataError, match=r"data\.root: .*nowhere is no folder"):
        CarlaData(root=str(tmp_path / "nowhere")).reader()
    with pytest.raises(DataError, match=r"no route of data\.layout 2021 .*rgb_front/"):
        CarlaData(root=str(folder.root), layout="2021").reader()
    with pytest.raises(DataError, match=r"data\.drives: none of the 1 drives has 'Town99'"):
        CarlaData(root=str(folder.root), drives=("Town05", "Town99")).reader()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), flip=st.integers(0, 255))
def test_no_damage_to_a_sweep_gets_past_the_reader(cut: int, flip: int, carla_folder: Any, straight_poses: Any) -> None:
    """Whatever happens to the bytes, a sample is sound or a problem is told; nothing else is raised."""
    folder = carla_folder("2022")
    route = folder.write(ROUTE, straight_poses(4.0, 7))
    path = route / "lidar" / "0002.npy"
    content = bytearray(path.read_bytes())
    content[cut % len(content)] ^= flip
    path.write_bytes(content)
    reader = CarlaData(root=str(folder.root)).reader()
    for sample in reader.samples(ROUTE):
        assert sample.sweep.ndim == 2
        assert np.isfinite(sample.sweep).all()
