"""A client's side of the protocol: Python values -> one binary request of one sample."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusegpt.signature import InputError, Signature, Tensor
from service.endpoint.oip.datatypes import DATATYPES, HEADER_LENGTH, pack_bytes

Input = Path | bytes | str | int | float | Sequence[Any] | np.ndarray[Any, Any]
Part = bytes | memoryview

ALIGNMENT = 8
LAST = {"UINT8": 1, "BYTES": 2}  # of any length, so what needs to be aligned comes before


def written(signature: Signature, inputs: Mapping[str, Input]) -> tuple[dict[str, str], list[Part]]:
    """Headers and body of a request that wants every output in binary. Raises InputError.

    Numbers are sent first, from a multiple of 8 bytes on, so that the endpoint can use them where they lie.
    """
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    entries = [_entry(name, value, tensors.get(name)) for name, value in inputs.items()]
    entries.sort(key=lambda entry: LAST.get(entry[0]["datatype"], 0))
    asked = {"inputs": [told for told, _ in entries], "parameters": {"binary_data_output": True}}
    header = json.dumps(asked).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    body: list[Part] = [header, *(content for _, content in entries)]
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(sum(len(part) for part in body)),
        HEADER_LENGTH: str(len(header)),
    }
    return headers, body


def _entry(name: str, value: Input, tensor: Tensor | None) -> tuple[dict[str, Any], Part]:
    content: Part
    if isinstance(value, Path | bytes | str):
        datatype, shape, content = "BYTES", [1], pack_bytes([_bytes(value)])
    else:
        array = _array(name, value, tensor)
        datatype, shape = DATATYPES.get(array.dtype.name, array.dtype.name), [1, *array.shape]
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    told = {"name": name, "datatype": datatype, "shape": shape}
    return {**told, "parameters": {"binary_data_size": len(content)}}, content


def _bytes(value: Path | bytes | str) -> bytes:
    if isinstance(value, Path):
        return value.read_bytes()
    return value.encode() if isinstance(value, str) else value


def _array(name: str, value: Any, tensor: Tensor | None) -> np.ndarray[Any, Any]:
    """In the type and shape of the signature where nothing is lost by that; the endpoint judges the rest."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(name, "its rows differ in length; send numbers in rows of one length") from None
    if array.dtype.hasobject:
        raise InputError(name, f"{type(value).__name__} is neither a file, nor text, nor numbers")
    if tensor is None or tensor.dtype == "text":
        return array
    with np.errstate(over="ignore"):
        if array.dtype.kind in "biuf" and np.can_cast(array.dtype, tensor.dtype, "same_kind"):
            array = array.astype(tensor.dtype, copy=False)
    one_sample = -1 not in tensor.shape and array.size == np.prod(tensor.shape, dtype=int)
    return array.reshape(tensor.shape) if one_sample else array
