"""One input tensor of the protocol -> its samples, checked against the signature."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusegpt.signature import InputError, Tensor
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import Array, cast, check_shape, check_text, shown
from service.endpoint.image import check_pixels, decode_image
from service.endpoint.oip.datatypes import STORED, accepted, batched_shape, unpack_bytes
from service.endpoint.sweep import check_count, decode_sweep

MAX_DIMENSIONS = 8


def read_tensor(
    entry: Mapping[str, Any], content: memoryview | None, tensor: Tensor, config: EndpointConfig
) -> Array | list[Array]:
    """The samples of one input: `content` is its binary data, None where it came as JSON. Raises InputError."""
    datatype = entry.get("datatype")
    if datatype not in accepted(tensor):
        raise InputError(tensor.name, f"has datatype {str(datatype)[:20]}; send {' or '.join(accepted(tensor))}")
    shape = _shape(entry, tensor)
    if datatype == "BYTES":
        return _samples_of_bytes(_elements(entry, content, shape, tensor), tensor, config)
    _check_batched(shape, tensor, config)
    if content is None:
        batch = _from_json(entry, shape, tensor)
    else:
        batch = _from_binary(content, shape, STORED[str(datatype)], tensor)
    if tensor.media == "image" and _is_channels_first(shape, tensor):
        batch = batch.transpose(0, 2, 3, 1)
    return batch


def _shape(entry: Mapping[str, Any], tensor: Tensor) -> tuple[int, ...]:
    shape = entry.get("shape")
    right = isinstance(shape, list) and 1 <= len(shape) <= MAX_DIMENSIONS
    if not right or not all(type(size) is int and size >= 0 for size in shape or ()):
        raise InputError(tensor.name, f"needs a shape such as {batched_shape(tensor)}, as a list of whole numbers")
    return tuple(shape or ())


def _check_batched(shape: tuple[int, ...], tensor: Tensor, config: EndpointConfig) -> None:
    """Before any number is looked at: the shape with its batch dimension, and the limits."""
    if len(shape) == len(tensor.shape):
        told = f"has shape {shown(shape)} without the batch dimension; send {shown((1, *shape))}"
        raise InputError(tensor.name, told)
    sample = shape[1:]
    if tensor.media == "image" and _is_channels_first(shape, tensor):
        sample = (*shape[2:], shape[1])
    check_shape(sample, tensor)
    if tensor.media == "image":
        check_pixels(sample[1], sample[0], tensor, config)
    elif tensor.media == "sweep":
        check_count(sample[0], tensor, config)


def _is_channels_first(shape: tuple[int, ...], tensor: Tensor) -> bool:
    """[B, 3, H, W]: what PyTorch's users have. Channels last where both could be meant."""
    return len(shape) == 4 and tensor.shape[-1] > 0 and shape[1] == tensor.shape[-1] != shape[3]


def _from_binary(content: memoryview, shape: tuple[int, ...], stored: np.dtype[Any], tensor: Tensor) -> Array:
    expected = math.prod(shape) * stored.itemsize
    if len(content) != expected:
        raise InputError(tensor.name, f"holds {len(content)} bytes, its shape {shown(shape)} needs {expected}")
    batch = np.frombuffer(content, stored).reshape(shape)
    # The data lies where the client put it; PyTorch and vectorised loops need it at a multiple of the element's size.
    return _checked(batch if batch.flags.aligned else batch.copy(), tensor)


def _from_json(entry: Mapping[str, Any], shape: tuple[int, ...], tensor: Tensor) -> Array:
    """`data` flat or nested, row by row."""
    try:
        values = np.asarray(entry["data"])
    except KeyError:
        raise InputError(tensor.name, "has neither data nor parameters.binary_data_size") from None
    except (ValueError, OverflowError):
        raise InputError(tensor.name, "its data is ragged or no list of numbers") from None
    if values.size == 0:
        values = values.astype(tensor.dtype)
    if values.dtype.kind not in "iuf":
        raise InputError(tensor.name, "its data must be numbers")
    if values.size != math.prod(shape):
        raise InputError(tensor.name, f"has {values.size} numbers, its shape {shown(shape)} needs {math.prod(shape)}")
    return _checked(cast(values, tensor).reshape(shape), tensor)


def _checked(batch: Array, tensor: Tensor) -> Array:
    if batch.dtype.kind == "f" and not np.isfinite(batch).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(batch))[0])
        raise InputError(tensor.name, f"is NaN or infinite at {list(place)}")
    return batch


def _elements(
    entry: Mapping[str, Any], content: memoryview | None, shape: tuple[int, ...], tensor: Tensor
) -> Sequence[bytes | memoryview]:
    """The BYTES elements, one a sample: [B] or [B, 1]."""
    if len(shape) > 2 or shape[1:] not in ((), (1,)):
        raise InputError(tensor.name, f"has shape {shown(shape)}; BYTES have one element a sample, [B] or [B, 1]")
    if content is None:
        return _json_elements(entry, shape[0], tensor)
    try:
        return unpack_bytes(content, shape[0])
    except ValueError as error:
        raise InputError(tensor.name, str(error)) from None


def _json_elements(entry: Mapping[str, Any], count: int, tensor: Tensor) -> list[bytes]:
    """Text as it is; a file in JSON is base64."""
    data = entry.get("data")
    flat = (
        [item for row in data for item in (row if isinstance(row, list) else [row])] if isinstance(data, list) else []
    )
    if len(flat) != count or not all(isinstance(item, str) for item in flat):
        raise InputError(tensor.name, f"its data must be a list of {count} strings")
    if tensor.media == "text":
        return [item.encode("utf-8", "surrogatepass") for item in flat]
    try:
        return [base64.b64decode(item, validate=True) for item in flat]
    except ValueError:
        raise InputError(tensor.name, "a file in JSON is base64; this is none") from None


def _samples_of_bytes(elements: Sequence[bytes | memoryview], tensor: Tensor, config: EndpointConfig) -> list[Array]:
    contents = [bytes(element) for element in elements]
    if tensor.media == "image":
        return [_fits(decode_image(content, tensor, config), tensor) for content in contents]
    if tensor.media == "sweep":
        return [decode_sweep(content, "", tensor, config) for content in contents]
    return [check_text(content, tensor) for content in contents]


def _fits(array: Array, tensor: Tensor) -> Array:
    check_shape(array.shape, tensor)
    return array
