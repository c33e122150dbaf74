"""A request of the protocol over HTTP -> samples. Binary tensors become views, not copies.

{"id": "7", "inputs": [{"name", "shape", "datatype", "data" | "parameters": {"binary_data_size"}}, ...],
 "outputs": [{"name", "parameters": {"binary_data"}}, ...], "parameters": {"binary_data_output"}}<binary tensors>
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusegpt.signature import Signature
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import Array
from service.endpoint.oip.samples import Sent, check_names, check_outputs, check_tensor, read_samples
from service.endpoint.problem import ProblemError


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
    samples = read_samples(_with_content(inputs, memoryview(body)[start:]), signature, config)
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
        raise ProblemError(400, "must be a list", key)
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ProblemError(400, "every tensor is an object with a name", key)
        if not isinstance(entry.get("parameters", {}), dict):
            raise ProblemError(400, "parameters must be an object", entry["name"])
        check_tensor(entry["name"], entry.get("parameters", {}))
    check_names([entry["name"] for entry in entries])
    return entries


def _wanted(asked: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    parameters = asked.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ProblemError(400, "must be an object", "parameters")
    by_default = bool(parameters.get("binary_data_output", False))
    entries = _entries(asked, "outputs")
    if not entries:
        return {tensor.name: by_default for tensor in signature.outputs}
    check_outputs([entry["name"] for entry in entries], signature)
    return {entry["name"]: bool(entry.get("parameters", {}).get("binary_data", by_default)) for entry in entries}


def _with_content(inputs: list[dict[str, Any]], binary: memoryview) -> list[Sent]:
    """Each input with its part of the binary data: the parts lie one after another, in the order of the inputs."""
    pairs: list[Sent] = []
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
