"""The protocol's datatypes, and BYTES: elements of any length, each behind its length in 4 bytes, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from fusegpt.signature import Tensor

DATATYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "text": "BYTES"}
STORED: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "INT64": np.dtype("<i8"), "FP32": np.dtype("<f4")}
FILES = ("image", "sweep")
HEADER_LENGTH = "Inference-Header-Content-Length"
LENGTH = struct.Struct("<I")


def datatype(tensor: Tensor) -> str:
    """The protocol's word for the tensor's type."""
    return DATATYPES[tensor.dtype]


def accepted(tensor: Tensor) -> tuple[str, ...]:
    """The datatypes that an input is taken in: its own, and BYTES where it may come as a file."""
    return (datatype(tensor), "BYTES") if tensor.media in FILES else (datatype(tensor),)


def batched_shape(tensor: Tensor) -> list[int]:
    """The shape with its batch dimension; -1 where any size is right."""
    return [-1, *tensor.shape]


def pack_bytes(elements: Iterable[bytes]) -> bytes:
    """BYTES elements as one binary tensor."""
    return b"".join(part for element in elements for part in (LENGTH.pack(len(element)), element))


def unpack_bytes(content: memoryview, count: int) -> list[memoryview]:
    """The `count` BYTES elements of a binary tensor, as views. Raises ValueError where the lengths do not add up."""
    elements: list[memoryview] = []
    start = 0
    for _ in range(count):
        if len(content) - start < LENGTH.size:
            raise ValueError(f"the data ends before element {len(elements)} of {count}")
        (length,) = LENGTH.unpack_from(content, start)
        start += LENGTH.size
        if length > len(content) - start:
            raise ValueError(f"element {len(elements)} declares {length} bytes, {len(content) - start} are left")
        elements.append(content[start : start + length])
        start += length
    if start != len(content):
        raise ValueError(f"{len(content) - start} bytes are left after element {count - 1}")
    return elements


def text_elements(array: np.ndarray[Any, Any]) -> list[bytes]:
    """An array of text as its UTF-8 elements, row by row."""
    return [str(element).encode() for element in array.reshape(-1).tolist()]
