"""A request of the protocol -> samples, each its arrays by input name. Binary tensors become views, not copies.

{"id": "7", "inputs": [{"name", "shape", "datatype", "data" | "parameters": {"binary_data_size"}}, ...],
 "outputs": [{"name", "parameters": {"binary_data"}}, ...], "parameters": {"binary_data_output"}}<binary tensors>
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusegpt.config import closest
from fusegpt.signature import InputError, Signature
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import Array
from service.endpoint.oip.tensor import read_tensor
from service.endpoint.problem import ProblemError, of_inputs

UNSUPPORTED = ("shared_memory_region", "classification")


@dataclass(frozen=True)
class InferRequest:
    """What was asked: the samples of the batch, and which outputs are wanted, each in binary or not."""

    id: str
    samples: list[dict[str, Array]]
    wanted: Mapping[str, bool]


def read_request(body: bytearray, header: str, signature: Signature, config: EndpointConfig) -> InferRequest:
    """`header` is the value of Inference-Header-Content-Length, empty where the body is JSON alone.

    Raises ProblemError that names every wrong, missing or unknown tensor.
    """
    start = _header_length(header, len(body))
    asked = _parsed(body, start)
    inputs = _entries(asked, "inputs")
    wanted = _wanted(asked, signature)
    arrays = _arrays(inputs, memoryview(body)[start:], signature, config)
    size = _batch_size(arrays, config)
    samples = [{name: batch[row] for name, batch in arrays.items()} for row in range(size)]
    return InferRequest(str(asked.get("id", "")), samples, wanted)


def _header_length(header: str, total: int) -> int:
    if not header:
        return total
    if not header.isdigit() or int(header) > total:
        detail = f"Inference-Header-Content-Length: {header[:40]!r} is no length of JSON within {total} bytes of body"
        raise ProblemError(400, detail)
    return int(header)


def _parsed(body: bytearray, length: int) -> dict[str, Any]:
    try:
        asked = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, f"the request is no JSON: {str(error)[:200]}") from None
    if not isinstance(asked, dict):
        raise ProblemError(400, "the request must be a JSON object")
    return asked


def _entries(asked: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = asked.get(key, [])
    if not isinstance(entries, list):
        raise ProblemError(400, f"{key}: must be a list", key)
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ProblemError(400, f"{key}: every tensor is an object with a name", key)
        if not isinstance(entry.get("parameters", {}), dict):
            raise ProblemError(400, "parameters must be an object", entry["name"])
        for name in UNSUPPORTED:
            if name in entry.get("parameters", {}):
                raise ProblemError(400, f"the parameter {name} is not supported here", entry["name"])
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ProblemError(400, "is given twice", name)
    return entries


def _wanted(asked: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    parameters = asked.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ProblemError(400, "parameters: must be an object", "parameters")
    known = [tensor.name for tensor in signature.outputs]
    by_default = bool(parameters.get("binary_data_output", False))
    entries = _entries(asked, "outputs")
    if not entries:
        return dict.fromkeys(known, by_default)
    for name in (entry["name"] for entry in entries):
        if name not in known:
            told = f"is no output of this model; it gives {', '.join(known)}{closest(name[:80], known)}"
            raise ProblemError(400, told, name[:80])
    return {entry["name"]: bool(entry.get("parameters", {}).get("binary_data", by_default)) for entry in entries}


def _arrays(
    inputs: list[dict[str, Any]], binary: memoryview, signature: Signature, config: EndpointConfig
) -> dict[str, Any]:
    """Each input as an array, or a list of arrays of differing sizes, one element a sample."""
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    given = {entry["name"]: (entry, content) for entry, content in _with_content(inputs, binary)}
    errors: list[InputError] = []
    arrays: dict[str, Any] = {}
    for name, tensor in tensors.items():
        try:
            if name not in given:
                raise InputError(name, "is missing" + (f" ({tensor.description})" if tensor.description else ""))
            arrays[name] = read_tensor(*given[name], tensor, config)
        except InputError as error:
            errors.append(error)
    known = list(tensors)
    for name in (name[:80] for name in given if name not in tensors):
        told = f"is no input of this model; it takes {', '.join(known)}{closest(name, known)}"
        errors.append(InputError(name, told))
    if errors:
        raise of_inputs(errors)
    return arrays


def _with_content(inputs: list[dict[str, Any]], binary: memoryview) -> list[tuple[dict[str, Any], memoryview | None]]:
    """Each input with its part of the binary data: the parts lie one after another, in the order of the inputs."""
    pairs: list[tuple[dict[str, Any], memoryview | None]] = []
    start = 0
    for entry in inputs:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            pairs.append((entry, None))
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary) - start:
            told = (
                f"binary_data_size {str(size)[:40]} does not fit, {len(binary) - start} bytes of binary data are left"
            )
            raise ProblemError(400, told, entry["name"])
        pairs.append((entry, binary[start : start + size]))
        start += size
    if start != len(binary):
        raise ProblemError(400, f"{len(binary) - start} bytes of binary data belong to no input")
    return pairs


def _batch_size(arrays: Mapping[str, Any], config: EndpointConfig) -> int:
    sizes = {name: len(batch) for name, batch in arrays.items()}
    first, size = next(iter(sizes.items()), ("", 1))
    for name, other in sizes.items():
        if other != size:
            raise ProblemError(422, f"has the batch size {other}, {first} has {size}", name)
    if not 1 <= size <= config.max_batch_size:
        raise ProblemError(422, f"has the batch size {size}; 1 to {config.max_batch_size} are taken", first)
    return size
