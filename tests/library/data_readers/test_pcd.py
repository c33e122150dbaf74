"""Point clouds in the PCD format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fusegpt.data.pcd import PcdError, read_pcd

ROW = np.dtype([("x", "<f4"), ("y", "<f8"), ("ring", "u1")])
HEADER = (
    "VERSION 0.7\nFIELDS x y ring\nSIZE 4 8 1\nTYPE F F U\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nPOINTS {0}\nDATA {1}\n"
)


@given(points=hnp.arrays(ROW, st.integers(0, 9)), padding=st.binary(max_size=20))
def test_a_binary_cloud_comes_back_bit_for_bit_whatever_follows_it(points: np.ndarray, padding: bytes) -> None:
    fields = read_pcd(HEADER.format(len(points), "binary").encode() + points.tobytes() + padding)
    for name in ("x", "y", "ring"):
        assert fields[name].tobytes() == points[name].tobytes()


def test_an_ascii_cloud_is_read_too() -> None:
    fields = read_pcd(HEADER.format(2, "ascii").encode() + b"1.5 -2 7\n0 1e3 255\n")
    np.testing.assert_array_equal(fields["y"], [-2, 1000])
    np.testing.assert_array_equal(fields["ring"], [7, 255])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line DATA"),
        (b"\xff" * 9000, "no line DATA"),
        (HEADER.format(3, "binary").encode() + bytes(20), "is cut short: 20 bytes of points, 3 points need 39"),
        (HEADER.format(2, "ascii").encode() + b"1 2 3\n", "is cut short: 1 points of 2"),
        (HEADER.format(1, "ascii").encode() + b"a b c\n", "no number"),
        (HEADER.format(1, "binary_compressed").encode(), "binary_compressed; ascii and binary"),
        (HEADER.format("many", "binary").encode(), "POINTS is many"),
        (HEADER.format(1, "binary").replace("F F U", "F F Q").encode() + bytes(13), "no number format"),
        (HEADER.format(1, "binary").replace("SIZE 4 8 1", "SIZE 4 8").encode() + bytes(13), "do not fit together"),
        (HEADER.format(1, "binary").replace("COUNT 1 1 1", "COUNT 1 1 3").encode() + bytes(13), "only 1 can be read"),
    ],
)
def test_what_cannot_be_read_is_told(content: bytes, message: str) -> None:
    with pytest.raises(PcdError, match=message):
        read_pcd(content)
