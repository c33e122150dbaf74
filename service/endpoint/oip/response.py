"""Answers -> the protocol's response: a JSON header and, for each output wanted so, a binary tensor behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    for tensor in served.signature.outputs:
        if tensor.name in request.wanted:
            batch = np.stack([answer[tensor.name] for answer in answers])
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
    if tensor.dtype == "text":
        content = pack_bytes(text_elements(batch))
    else:
        content = batch.astype(STORED[kind], copy=False).tobytes()
    binary.append(content)
    return {**told, "parameters": {"binary_data_size": len(content)}}
