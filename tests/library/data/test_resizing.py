"""The one way in which a picture becomes what the model sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fusegpt.data.image import resized

sizes = st.integers(8, 90)


@settings(max_examples=40)
@given(height=sizes, width=sizes, to_height=sizes, to_width=sizes, seed=st.integers(0, 99))
def test_a_resized_picture_is_pillows_to_one_level(
    height: int, width: int, to_height: int, to_width: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(image).resize((to_width, to_height), Image.Resampling.BILINEAR))
    ours = resized(image, to_height, to_width)
    assert ours.shape == (3, to_height, to_width)
    assert ours.flags.c_contiguous
    assert np.abs(ours.astype(int) - theirs.transpose(2, 0, 1)).max() <= 1


def test_a_picture_of_the_right_size_is_not_touched_and_one_that_may_not_be_written_is_read() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image.flags.writeable = False
    np.testing.assert_array_equal(resized(image, 20, 30), image.transpose(2, 0, 1))
    assert resized(image, 10, 15).shape == (3, 10, 15)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\), not \(20, 30\)"):
        resized(np.zeros((20, 30), np.uint8), 10, 10)
