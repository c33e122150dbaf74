"""Pickles of data sets: what they may hold, and that nothing of what they ask for is run."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fusegpt.data.plain_pickle import UnsafePickleError, load_npy, load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ARRAYS = hnp.arrays(
    dtype=st.one_of(hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes()),
    shape=hnp.array_shapes(max_dims=3, max_side=4, min_side=0),
)


@given(array=ARRAYS, transposed=st.booleans(), protocol=st.sampled_from(PROTOCOLS))
def test_arrays_come_back_as_they_were(array: np.ndarray[Any, Any], transposed: bool, protocol: int) -> None:
    stored = array.T if transposed else array
    back = load_pickle(pickle.dumps({"frames": [stored]}, protocol=protocol))["frames"][0]
    assert back.dtype == stored.dtype
    np.testing.assert_array_equal(back, stored)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_plain_containers_come_back_as_they_were(protocol: int) -> None:
    stored = [
        {"a": (1, -2.5, None, True, "täxt", b"\xff")},
        np.float32(0.5),
        np.int64(-3),
        np.bool_(True),
        np.str_("x"),
    ]
    assert load_pickle(pickle.dumps(stored, protocol=protocol)) == stored


def test_a_pair_of_a_number_and_points_is_read_from_an_npy_of_objects() -> None:
    pair = np.empty(2, dtype=object)
    pair[0], pair[1] = 70, np.arange(8, dtype=np.float32).reshape(2, 4)
    buffer = io.BytesIO()
    np.save(buffer, pair)
    step, points = load_npy(buffer.getvalue())
    assert step == 70
    np.testing.assert_array_equal(points, pair[1])


class Calls:
    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


HOSTILE = [
    Calls(os.system, ("true",)),
    Calls(eval, ("1",)),
    Calls(functools.partial, (print,)),
    Calls(getattr, ("", "join")),
    Calls(np.load, ("file",)),
    Calls(np.ndarray, ((1,), "f8")),
    Calls(np.frombuffer, (b"12345678",)),
    collections.OrderedDict(a=1),
    Path("somewhere"),
]


def _said(thing: object) -> str:
    """A name that is the same in every process, as that of a function's place in memory is not."""
    return re.sub(r" at 0x\w+", "", str(getattr(thing, "reduced", thing)))


@pytest.mark.parametrize("thing", HOSTILE, ids=_said)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_whatever_else_a_pickle_asks_for_is_refused(thing: object, protocol: int) -> None:
    with pytest.raises(UnsafePickleError):
        load_pickle(pickle.dumps([thing], protocol=protocol))


def test_an_array_cannot_claim_memory_that_its_content_does_not_have() -> None:
    """NumPy's own `ndarray(shape, dtype, buffer)` takes addresses from a buffer where the type is object."""
    crafted = b"\x80\x04cnumpy\nndarray\n(K\x01\x85X\x01\x00\x00\x00OC\x08\x41\x41\x41\x41\x41\x41\x41\x41tR."
    with pytest.raises(UnsafePickleError):
        load_pickle(crafted)
    with pytest.raises(UnsafePickleError):
        load_pickle(pickle.dumps(np.arange(4), protocol=4).replace(b"K\x04\x85", b"K\xff\x85"))


@settings(max_examples=200)
@given(data=st.data())
def test_damage_is_refused_or_read_but_raises_nothing_else(data: st.DataObject) -> None:
    content = bytearray(
        pickle.dumps([{"pose": np.eye(4), "name": "x"}], protocol=data.draw(st.sampled_from([2, 4, 5])))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafePickleError):
        load_pickle(bytes(content))
