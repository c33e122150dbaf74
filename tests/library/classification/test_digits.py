"""Digits: scikit-learn's by default, MNIST's files by path, and every way in which such a file can be broken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fusegpt.data.digits import DigitsData
from fusegpt.data.digits.idx import read_idx
from fusegpt.data.sample import DataError


def idx(array: NDArray[np.uint8], kind: int = 8) -> bytes:
    header = struct.pack(">BBBB", 0, 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder as MNIST's: 40 pictures for training, gzipped, and 10 for the test, plain."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, content in (("images-idx3-ubyte", idx(images)), ("labels-idx1-ubyte", idx(labels))):
            file = tmp_path / f"{part}-{name}"
            if part == "train":
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(content))
            else:
                file.write_bytes(content)
    return tmp_path


def test_without_a_path_they_are_scikit_learns_1797_scaled_to_28_pixels(tmp_path: Path) -> None:
    splits = DigitsData().open_splits(tmp_path)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 1797
    batch = splits.val.batch(np.arange(4))
    assert batch["image"].shape == (4, 1, 28, 28)
    assert int(batch["image"].max()) > 200
    assert set(splits.train.batch(np.arange(200))["label"].tolist()) == set(range(10))


def test_the_seed_says_which_are_held_out(tmp_path: Path) -> None:
    one, again, other = (DigitsData(image_px=8, seed=seed).open_splits(tmp_path) for seed in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_mnists_own_test_part_stays_whole(mnist: Path, tmp_path: Path) -> None:
    splits = DigitsData(path=str(mnist), val_fraction=0.25).open_splits(tmp_path)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (30, 10, 10)
    expected = read_idx(mnist / "t10k-images-idx3-ubyte", 3)
    assert np.array_equal(splits.test.batch(np.arange(10))["image"][:, 0].numpy(), expected)
    assert splits.test.batch(np.arange(10))["label"].tolist() == list(range(10))


ONES = np.ones((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is no IDX file"),
        (b"\1\0\x08\2" + b"\0" * 20, "is no IDX file"),
        (idx(ONES, kind=0x0D), "holds numbers of type 0x0d"),
        (idx(ONES[0]), "has 1 dimensions; 2 are right"),
        (idx(ONES)[:9], "ends within its header, after 9 bytes"),
        (idx(ONES)[:-1], "has 5 numbers; its header promises 6"),
        (idx(ONES) + b"\0", "has 7 numbers; its header promises 6"),
        (gzip.compress(idx(ONES), mtime=0)[:-9], "is a broken gzip file"),
    ],
)
def test_a_broken_idx_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, wrong: str) -> None:
    file = tmp_path / "digits-idx"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"digits-idx: {wrong}"):
        read_idx(file, 2)


def test_a_huge_promise_of_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "digits-idx"
    file.write_bytes(struct.pack(">BBBBII", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match="has 0 numbers; its header promises 18446744065119617025"):
        read_idx(file, 2)


def test_a_missing_file_is_named_with_the_setting(mnist: Path) -> None:
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: is missing, also as \.gz \(data\.path"):
        DigitsData(path=str(mnist)).open_splits(mnist)


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [(np.zeros(9, np.uint8), "has 9 labels for 10 pictures"), (np.full(10, 11, np.uint8), "has the label 11")],
)
def test_labels_that_do_not_fit_are_refused(mnist: Path, labels: NDArray[np.uint8], wrong: str) -> None:
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(DataError, match=f"t10k-labels-idx1-ubyte: {wrong}"):
        DigitsData(path=str(mnist)).open_splits(mnist)
