"""A sweep file -> points: raw float32 rows (`.bin`, as KITTI writes them) or `.npy`, told apart by their content."""

from __future__ import annotations

import math
from io import BytesIO
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fusegpt.signature import Tensor
from service.endpoint.config import EndpointConfig
from service.endpoint.problem import FieldError

NPY_MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 4096
FLOATS = (np.float16, np.float32, np.float64)
# A header that is no dict goes through NumPy's reader of Python 2's headers, whose tokenizer has an error of its own.
BROKEN = (ValueError, SyntaxError, TypeError, KeyError, OverflowError, RecursionError, MemoryError, TokenError)


def decode_sweep(
    content: bytes | bytearray, filename: str, tensor: Tensor, config: EndpointConfig
) -> np.ndarray[Any, Any]:
    """(N, columns) float32, finite. Raises FieldError: 413 too many points, 422 anything else."""
    columns = tensor.shape[-1]
    if content[: len(NPY_MAGIC)] == NPY_MAGIC:
        points = _from_npy(content, columns, tensor.name)
    elif filename.lower().endswith(".npy"):
        raise FieldError(422, tensor.name, f"{filename!r} is no .npy file: it does not begin as one")
    else:
        points = _from_rows(content, columns, tensor.name)
    return _checked(points, tensor, config)


def _from_rows(content: bytes | bytearray, columns: int, name: str) -> np.ndarray[Any, Any]:
    row = 4 * columns
    if len(content) % row:
        message = f"{len(content)} bytes are no whole number of points of {columns} float32 ({row} bytes each)"
        raise FieldError(422, name, message)
    return np.frombuffer(content, dtype="<f4").reshape(-1, columns)


def _from_npy(content: bytes | bytearray, columns: int, name: str) -> np.ndarray[Any, Any]:
    """The array of an `.npy` file, without `np.load`: that reserves whatever size the header declares."""
    shape, fortran, dtype, start = _header(content, name)
    if dtype.type not in FLOATS:
        raise FieldError(422, name, f"the .npy file holds {dtype}; write float32")
    if len(shape) != 2 or shape[1] != columns:
        raise FieldError(422, name, f"the .npy file has shape {shape}; write (points, {columns})")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape) < 0 or expected != len(content) - start:
        message = f"the .npy file declares shape {shape} of {dtype} ({expected} bytes) but holds {len(content) - start}"
        raise FieldError(422, name, message)
    flat = np.frombuffer(content, dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(content: bytes | bytearray, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    file = BytesIO(content[: MAX_HEADER_BYTES + 16])
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file, max_header_size=MAX_HEADER_BYTES)
    except BROKEN as error:
        raise FieldError(422, name, f"the header of the .npy file is broken: {_first_line(error)}") from None
    return shape, bool(fortran), dtype, file.tell()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def check_count(count: int, tensor: Tensor, config: EndpointConfig) -> None:
    """Raises FieldError where a sweep has no points or too many."""
    limit = min(config.max_points, tensor.max_rows)
    if count == 0:
        raise FieldError(422, tensor.name, "the sweep has no points")
    if count > limit:
        raise FieldError(413, tensor.name, f"the sweep has {count} points, the limit is {limit}")


def _checked(points: np.ndarray[Any, Any], tensor: Tensor, config: EndpointConfig) -> np.ndarray[Any, Any]:
    check_count(len(points), tensor, config)
    with np.errstate(over="ignore"):
        points = np.ascontiguousarray(points, dtype=np.float32)
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise FieldError(422, tensor.name, f"point {row} is NaN, infinite or beyond float32")
    return points
