"""Answers -> the response over HTTP: a JSON header, and behind it the binary tensors of outputs that are wanted so."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fusegpt.signature import Tensor
from service.endpoint.champion import Arrays, Served, answered_by
from service.endpoint.oip.datatypes import HEADER_LENGTH, STORED, datatype, pack_bytes, text_elements
from service.endpoint.oip.request import InferRequest


def write_response(
    served: Served, request: InferRequest, answers: Sequence[Arrays], parameters: Mapping[str, float]
) -> tuple[bytes, dict[str, str]]:
    """The body and its headers."""
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for tensor, batch in outputs_of(served, request.wanted, answers):
        outputs.append(_output(tensor, batch, binary, request.wanted[tensor.name]))
    told: dict[str, Any] = {"model_name": served.name, "model_version": str(served.version)}
    if request.id:
        told["id"] = request.id
    header = json.dumps({**told, "parameters": dict(parameters), "outputs": outputs}, separators=(",", ":")).encode()
    if not binary:
        return header, {"Content-Type": "application/json", **answered_by(served)}
    return b"".join([header, *binary]), {
        **answered_by(served),
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(header)),
    }


def _output(tensor: Tensor, batch: np.ndarray[Any, Any], binary: list[bytes], in_binary: bool) -> dict[str, Any]:
    kind = datatype(tensor)
    told: dict[str, Any] = {"name": tensor.name, "datatype": kind, "shape": list(batch.shape)}
    if not in_binary:
        return {**told, "data": batch.reshape(-1).tolist()}
    content = packed(tensor, batch)
    binary.append(content)
    return {**told, "parameters": {"binary_data_size": len(content)}}


def outputs_of(
    served: Served, wanted: Collection[str], answers: Sequence[Arrays]
) -> Iterator[tuple[Tensor, np.ndarray[Any, Any]]]:
    """Each output that is wanted, with its batch, in the signature's order."""
    for tensor in served.signature.outputs:
        if tensor.name in wanted:
            yield tensor, np.stack([answer[tensor.name] for answer in answers])


def packed(tensor: Tensor, batch: np.ndarray[Any, Any]) -> bytes:
    """A batch as one binary tensor."""
    if tensor.dtype == "text":
        return pack_bytes(text_elements(batch))
    return batch.astype(STORED[datatype(tensor)], copy=False).tobytes()
