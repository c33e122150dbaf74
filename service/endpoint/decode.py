"""A form -> the arrays that the signature asks for. It knows media, not experiments.

Decoding is apart from prediction, so that another protocol (binary tensors) only brings its own decoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusegpt.config import closest
from fusegpt.signature import InputError, Signature, Tensor
from service.endpoint.config import EndpointConfig
from service.endpoint.form import Part
from service.endpoint.image import decode_image
from service.endpoint.problem import FieldError, of_inputs
from service.endpoint.sweep import decode_sweep

Array = np.ndarray[Any, Any]
MAX_NUMBER_CHARACTERS = 32  # of one number as text, with its separator
WRITTEN = {"image": "a PNG or JPEG file", "sweep": "a .bin or .npy file", "numbers": "numbers", "text": "text"}


def decode(parts: Mapping[str, Part], signature: Signature, config: EndpointConfig) -> dict[str, Array]:
    """The inputs of one request by name. Raises ProblemError that names every wrong, missing or unknown field."""
    errors: list[InputError] = []
    arrays: dict[str, Array] = {}
    for tensor in signature.inputs:
        try:
            arrays[tensor.name] = _decode_part(parts.get(tensor.name), tensor, config)
        except InputError as error:
            errors.append(error)
    known = [tensor.name for tensor in signature.inputs]
    errors += [_unknown(name, known) for name in parts if name not in known]
    if errors:
        raise of_inputs(errors)
    return arrays


def _unknown(name: str, known: list[str]) -> InputError:
    name = name[:80]
    return InputError(name, f"is no input of this model; it takes {', '.join(known)}{closest(name, known)}")


def _decode_part(part: Part | None, tensor: Tensor, config: EndpointConfig) -> Array:
    if part is None:
        raise InputError(tensor.name, f"is missing: send {WRITTEN[tensor.media]}{_of(tensor)}")
    if tensor.media == "image":
        array = decode_image(part.content, tensor, config)
    elif tensor.media == "sweep":
        array = decode_sweep(part.content, part.filename, tensor, config)
    elif tensor.media == "text":
        array = check_text(part.content, tensor)
    else:
        array = _numbers(part.content, tensor)
    check_shape(array.shape, tensor)
    return array


def _of(tensor: Tensor) -> str:
    return f" ({tensor.description})" if tensor.description else ""


def check_text(content: bytes | bytearray, tensor: Tensor) -> Array:
    """A text as an array of one string. Raises InputError where it is too long or no UTF-8."""
    if len(content) > tensor.max_rows:
        raise FieldError(413, tensor.name, f"the text has {len(content)} bytes, the limit is {tensor.max_rows}")
    try:
        return np.asarray(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise InputError(tensor.name, "the text is not UTF-8") from None


def _numbers(content: bytes | bytearray, tensor: Tensor) -> Array:
    """ "5.2", "20.0,1.5" or JSON; the shape is the signature's."""
    most = int(np.prod([tensor.max_rows if size < 0 else size for size in tensor.shape], dtype=np.int64))
    if len(content) > MAX_NUMBER_CHARACTERS * max(most, 1) + 64:
        raise FieldError(413, tensor.name, f"{len(content)} bytes are more than {most} numbers take")
    values = _parsed(content, tensor)
    array = cast(values, tensor)
    return array.reshape(tensor.shape) if _is_one_sample(array, tensor) else array


def _parsed(content: bytes | bytearray, tensor: Tensor) -> Array:
    text = content.decode("utf-8", "replace").strip()
    if not text.startswith(("[", "{", '"')) and "," in text:
        text = f"[{text}]"
    try:
        values = np.asarray(json.loads(text))
    except (ValueError, RecursionError):
        raise InputError(tensor.name, f"{text[:40]!r} is not {_wanted(tensor)}") from None
    if values.dtype.kind not in "iuf":
        raise InputError(tensor.name, f"{text[:40]!r} is not {_wanted(tensor)}")
    return values


def _wanted(tensor: Tensor) -> str:
    count = int(np.prod(tensor.shape, dtype=np.int64))
    if count == 1:
        return "a number"
    return f"{count} numbers, as 1.0,2.0 or as JSON" if count > 1 else "a list of numbers, as JSON"


def cast(values: Array, tensor: Tensor) -> Array:
    """Numbers in the tensor's own type. Raises InputError where one does not fit."""
    if not np.isfinite(values).all():
        raise InputError(tensor.name, "NaN and infinity are not allowed")
    if tensor.dtype == "float32":
        with np.errstate(over="ignore"):
            array = values.astype(np.float32)
        fits = bool(np.isfinite(array).all())
    else:
        if values.dtype.kind == "f" and not np.equal(np.mod(values, 1), 0).all():
            raise InputError(tensor.name, "only whole numbers are right")
        bounds = np.iinfo(tensor.dtype)
        fits = values.size == 0 or bool(values.min() >= bounds.min and values.max() <= bounds.max)
        array = values.astype(tensor.dtype) if fits else values
    if not fits:
        raise InputError(tensor.name, f"a number is too large for {tensor.dtype}")
    return array


def _is_one_sample(array: Array, tensor: Tensor) -> bool:
    """Whether the numbers are the sample up to dimensions of size one: 5.2 for (1,), and [[1, 2]] for (2,)."""
    trimmed = [size for size in array.shape if size != 1]
    return -1 not in tensor.shape and trimmed == [size for size in tensor.shape if size != 1]


def check_shape(shape: tuple[int, ...], tensor: Tensor) -> None:
    """Raises InputError where one sample's shape is not the signature's, FieldError 413 where it is too large."""
    wanted = tensor.shape if tensor.media != "text" else ()
    fits = len(shape) == len(wanted) and all(w in (-1, size) for w, size in zip(wanted, shape, strict=True))
    if not fits:
        raise InputError(tensor.name, f"has shape {shown(shape)}; {shown(wanted)} is right (-1: any size)")
    if any(w == -1 and size > tensor.max_rows for w, size in zip(wanted, shape, strict=True)):
        raise FieldError(413, tensor.name, f"has shape {shown(shape)}; the limit is {tensor.max_rows}")


def shown(shape: tuple[int, ...]) -> str:
    """A shape as an error tells it."""
    return "(" + ", ".join(str(size) for size in shape) + ")" if shape else "a single value"
