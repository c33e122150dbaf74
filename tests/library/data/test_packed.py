from __future__ import annotations

import json
import multiprocessing
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kitti_folder import KittiFolder

from fusegpt.data import KittiData
from fusegpt.data.image import picked, rescaled, resized
from fusegpt.data.lidar import PRESETS, histogram
from fusegpt.data.packed import PackedSplit, is_whole, key_of, open_pack, open_splits
from fusegpt.data.packing import GrowingArray, Writer, ensure
from fusegpt.data.sample import DataError

SMALL = {"image_height_px": 32, "image_width_px": 64, "splits": {"val_drives": ["0002"], "test_fraction": 0}}


@pytest.fixture
def data(kitti: KittiFolder) -> KittiData:
    kitti.drive(1, frames=30, yaw_rate=0.2)
    kitti.drive(2, frames=25)
    return KittiData.model_validate({"root": str(kitti.root), **SMALL})


def train_of(data: KittiData, cache: Path, **changes: Any) -> PackedSplit:
    split = open_splits(data.model_copy(update=changes), cache).train
    assert isinstance(split, PackedSplit)
    return split


def test_a_batch_holds_what_the_reader_read(data: KittiData, tmp_path: Path) -> None:
    splits = open_splits(data, tmp_path / "cache")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 5, 0)
    batch = splits.train.batch(np.array([7, 2]))
    samples = list(data.reader().samples("2011_09_26_drive_0001_sync"))
    for row, sample in enumerate((samples[7], samples[2])):
        assert torch.equal(batch["image"][row], torch.from_numpy(resized(sample.image, 32, 64)))
        assert torch.equal(batch["lidar"][row], torch.from_numpy(histogram(sample.sweep, data.lidar)))
        np.testing.assert_array_equal(batch["waypoints"][row], sample.waypoints)
        np.testing.assert_array_equal(batch["target_point"][row], sample.target_point)
        assert batch["speed_mps"][row].tolist() == [np.float32(sample.speed_mps)]
    types = {name: (tuple(values.shape), values.dtype) for name, values in batch.items()}
    assert types == {
        "image": ((2, 3, 32, 64), torch.uint8),
        "lidar": ((2, 2, 128, 128), torch.float32),
        "speed_mps": ((2, 1), torch.float32),
        "target_point": ((2, 2), torch.float32),
        "waypoints": ((2, 4, 2), torch.float32),
    }


def test_a_sample_knows_its_drive_frame_time_and_projection(data: KittiData, tmp_path: Path) -> None:
    moment = train_of(data, tmp_path).sample_of(3)
    sample = list(data.reader().samples("2011_09_26_drive_0001_sync"))[3]
    assert (moment.drive, moment.frame, moment.time_s) == (sample.drive, sample.frame, sample.time_s)
    np.testing.assert_array_equal(moment.projection, rescaled(sample.projection, sample.image.shape, 32, 64))


def test_a_data_set_is_packed_once_and_read_from_then_on(data: KittiData, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = open_splits(data, tmp_path, progress=lambda done, about: told.append((done, about)))
    again = open_splits(data, tmp_path, progress=lambda *_: pytest.fail("packed again"))
    assert told == [(done, 55) for done in range(1, 16)]
    assert first.fingerprint == again.fingerprint


def test_splits_and_mirroring_use_the_same_pack_and_all_else_another(data: KittiData) -> None:
    for change in ({"splits": data.splits.model_copy(update={"gap_s": 9.0})}, {"flip_probability": 0.5}):
        assert key_of(data.model_copy(update=change)) == key_of(data)
    for change in ({"image_width_px": 96}, {"lidar": PRESETS["pami2022"]}, {"stride": 2}, {"poses": "gps"}):
        assert key_of(data.model_copy(update=change)) != key_of(data)


def test_the_fingerprint_names_the_content_not_the_place(data: KittiData, kitti: KittiFolder, tmp_path: Path) -> None:
    before = open_splits(data, tmp_path / "a").fingerprint
    assert open_splits(data, tmp_path / "b").fingerprint == before
    sweep = kitti.file(kitti.date / "2011_09_26_drive_0001_sync", "velodyne_points", 0)
    np.full((7, 4), 3.0, "<f4").tofile(sweep)
    assert open_splits(data, tmp_path / "a").fingerprint != before, "a changed file is packed anew"


def test_mirroring_swaps_left_and_right_of_everything(data: KittiData, tmp_path: Path) -> None:
    all_of_it = np.arange(10)
    plain = train_of(data, tmp_path).batch(all_of_it)
    mirrored = train_of(data, tmp_path, flip_probability=1.0).batch(all_of_it, np.random.default_rng(0))
    assert torch.equal(mirrored["image"], plain["image"].flip(3))
    assert torch.equal(mirrored["lidar"], plain["lidar"].flip(3)), "columns run from left to right"
    assert torch.equal(mirrored["waypoints"], plain["waypoints"] * torch.tensor([1, -1]))
    assert torch.equal(mirrored["target_point"], plain["target_point"] * torch.tensor([1, -1]))
    assert torch.equal(mirrored["speed_mps"], plain["speed_mps"])


def test_without_a_generator_nothing_is_mirrored(data: KittiData, tmp_path: Path) -> None:
    split = train_of(data, tmp_path, flip_probability=1.0)
    assert torch.equal(split.batch(np.arange(4))["image"], train_of(data, tmp_path).batch(np.arange(4))["image"])


def test_which_samples_are_mirrored_does_not_depend_on_how_a_batch_is_dealt_out(
    data: KittiData, tmp_path: Path
) -> None:
    split = train_of(data, tmp_path, flip_probability=0.5)
    plain = split.batch(np.arange(10))["waypoints"]
    patterns = set()
    for seed in range(8):
        whole = split.batch(np.arange(10), np.random.default_rng(seed))["waypoints"]
        halves = [split.batch(part, np.random.default_rng(seed)) for part in np.array_split(np.arange(10), 2)]
        assert torch.equal(whole, torch.cat([half["waypoints"] for half in halves]))
        patterns.add(tuple((whole == plain).all(dim=(1, 2)).tolist()))
    assert len(patterns) == 8, "another seed mirrors others"


def test_a_grid_that_is_wider_to_one_side_cannot_be_mirrored(data: KittiData) -> None:
    with pytest.raises(ValueError, match=r"lidar\.y_min_m"):
        KittiData(root=data.root, lidar=PRESETS["cvpr2021"], flip_probability=0.5)


def test_labels_are_packed_and_mirrored_where_the_data_has_them(tmp_path: Path) -> None:
    from fusegpt.data import WorldData

    world = WorldData(
        n_drives=3, seconds_per_drive=4.5, rate_hz=1, image_height_px=32, image_width_px=64, labels=True,
        lidar_rings=8, lidar_azimuths=60, splits={"val_fraction": 0, "test_fraction": 0},
    )  # fmt: skip
    plain, mirrored = (
        open_splits(world.model_copy(update={"flip_probability": share}), tmp_path).train for share in (0.0, 1.0)
    )
    before, after = plain.batch(np.arange(5)), mirrored.batch(np.arange(5), np.random.default_rng(0))
    for name in ("label_depth_m", "label_semantics", "label_bev_semantics"):
        assert torch.equal(after[name], before[name].flip(2))
    assert before["label_depth_m"].shape == before["label_semantics"].shape == (5, 32, 64)
    assert before["label_bev_semantics"].shape == (5, 128, 128)


def test_a_split_travels_to_another_process_as_a_path(data: KittiData, tmp_path: Path) -> None:
    split = train_of(data, tmp_path)
    here = split.batch(np.arange(3))["image"]
    parcel = pickle.dumps(split)
    assert len(parcel) < 4096
    assert torch.equal(pickle.loads(parcel).batch(np.arange(3))["image"], here)  # noqa: S301


def test_the_mapped_arrays_cannot_be_written(data: KittiData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        open_pack(data, tmp_path).array("image")[0] = 0


@pytest.mark.parametrize("name", ["image.npy", "manifest.json"])
@pytest.mark.parametrize("harm", ["shortened", "missing"])
def test_a_pack_that_lost_something_is_packed_again(data: KittiData, tmp_path: Path, name: str, harm: str) -> None:
    before = open_pack(data, tmp_path)
    path = before.folder / name
    content = path.read_bytes()
    path.unlink() if harm == "missing" else path.write_bytes(content[:-9])
    assert not is_whole(before.folder)
    again = open_pack(data, tmp_path)
    assert (again.folder / name).read_bytes() == content


def test_a_manifest_that_was_edited_is_not_believed(data: KittiData, tmp_path: Path) -> None:
    pack = open_pack(data, tmp_path)
    manifest = json.loads((pack.folder / "manifest.json").read_text())
    manifest["arrays"]["image"]["shape"][0] -= 1
    (pack.folder / "manifest.json").write_text(json.dumps(manifest))
    assert not is_whole(pack.folder)


def test_what_a_killed_packer_left_is_removed_by_the_next(data: KittiData, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    # Spawned: a fork of a process that has run other tests may hold locks that none of its threads lets go of.
    process = multiprocessing.get_context("spawn").Process(target=_pack_and_die, args=(data, cache), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == -9
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1, "the temporary folder is left"
    folder = open_pack(data, cache).folder
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def _pack_and_die(data: KittiData, cache: Path) -> None:
    import os
    import signal

    open_splits(data, cache, progress=lambda done, _: os.kill(os.getpid(), signal.SIGKILL) if done == 3 else None)


def test_of_many_at_once_one_packs_and_the_others_wait(tmp_path: Path) -> None:
    folder, made, errors = tmp_path / "pack", [], []

    def make(temporary: Path) -> None:
        made.append(temporary)
        (temporary / "content").write_text("whole")

    def ask() -> None:
        try:
            ensure(folder, lambda path: (path / "content").exists(), make)
            assert (folder / "content").read_text() == "whole"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(made) == 1


def test_a_packing_that_fails_leaves_nothing(data: KittiData, kitti: KittiFolder, tmp_path: Path) -> None:
    kitti.file(kitti.date / "2011_09_26_drive_0002_sync", "image_02", 0).unlink()
    with pytest.raises(DataError, match=r"0000000000.png"):
        open_splits(data.model_copy(update={"on_problem": "refuse"}), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_data_set_of_nothing_but_problems_names_the_first(kitti: KittiFolder, tmp_path: Path) -> None:
    folder = kitti.drive(1, frames=22)
    for frame in range(22):
        kitti.file(folder, "image_02", frame).write_bytes(b"")
    with pytest.raises(DataError, match=r"none of about 22 frames .*0000000000.png: is no readable image"):
        open_splits(KittiData(root=str(kitti.root)), tmp_path)


def test_the_problems_met_while_packing_stay_with_the_pack(data: KittiData, kitti: KittiFolder, tmp_path: Path) -> None:
    path = kitti.file(kitti.date / "2011_09_26_drive_0002_sync", "image_02", 0)
    path.unlink()
    open_pack(data, tmp_path)
    assert [problem.file for problem in open_pack(data, tmp_path).problems] == [str(path)]


def test_a_growing_array_is_an_ordinary_npy_file(tmp_path: Path) -> None:
    rows = np.arange(1200, dtype=np.int16).reshape(100, 3, 4)
    array = GrowingArray(tmp_path / "rows.npy", rows[0])
    for row in rows:
        array.append(row)
    entry = array.close()
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy", allow_pickle=False), rows)
    assert entry["shape"] == [100, 3, 4]
    assert entry["bytes"] == (tmp_path / "rows.npy").stat().st_size


def test_samples_that_do_not_match_the_first_are_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append({"depth": np.zeros((2, 2), np.float32)})
    with pytest.raises(DataError, match="depth is"):
        writer.append({"depth": np.zeros((2, 3), np.float32)})
    with pytest.raises(DataError, match="classes is there for some samples only"):
        writer.append({"depth": np.zeros((2, 2), np.float32), "classes": np.zeros(1)})
    writer.abandon()


def test_a_map_of_classes_is_resized_without_new_classes() -> None:
    label = np.kron([[1, 9], [4, 6]], np.ones((6, 10), int))
    np.testing.assert_array_equal(picked(label, 2, 4), [[1, 1, 9, 9], [4, 4, 6, 6]])
    np.testing.assert_array_equal(picked(label, 12, 20), label)


def test_a_projected_point_stays_at_its_place_in_a_resized_image() -> None:
    projection = np.array([[100.0, 0, 50, 0], [0, 100, 25, 0], [0, 0, 1, 0]])
    corner = np.array([-50.5, -25.5, 100.0, 1.0])  # the image's corner, half a pixel outside the first pixel's centre
    u, v, depth = rescaled(projection, (50, 100, 3), 25, 200) @ corner
    assert (u / depth, v / depth) == pytest.approx((-0.5, -0.5))
