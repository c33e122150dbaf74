"""The OpenAPI page of the endpoint, with the fields of the model that answers now."""

from __future__ import annotations

import copy
from typing import Any

from fusegpt.signature import Tensor
from service.endpoint.champion import Served

FILES = ("image", "sweep")


def describe(page: dict[str, Any], served: Served | None) -> dict[str, Any]:
    """The page with the form, which `/v1/attention` takes too, and the answer to it filled in from the signature."""
    page = copy.deepcopy(page)
    if served is None:
        return page
    page["info"]["version"] = str(served.version)
    fields = {tensor.name: _field(tensor) for tensor in served.signature.inputs}
    form = {"type": "object", "required": list(fields), "properties": fields}
    operation = page["paths"]["/v1/predict"]["post"]
    body = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    operation["requestBody"] = page["paths"]["/v1/attention"]["post"]["requestBody"] = body
    answer = {
        **{tensor.name: _output(tensor) for tensor in served.signature.outputs},
        "model": {"type": "object", "description": "The name and the version that made this answer."},
        "timings_ms": {"type": "object", "description": "Milliseconds of each stage."},
        "batch_size": {"type": "integer", "description": "How many requests were predicted together."},
    }
    schema = {"type": "object", "properties": answer}
    operation["responses"]["200"]["content"] = {"application/json": {"schema": schema}}
    for status, meaning in ERRORS.items():
        operation["responses"][status] = {"description": meaning, "content": {"application/problem+json": {}}}
    page["paths"].update(OPEN_INFERENCE)
    return page


OPEN_INFERENCE: dict[str, Any] = {
    path: {method: {"summary": f"{summary} (Open Inference Protocol)", "responses": {}}}
    for method, path, summary in (
        ("get", "/v2", "The server"),
        ("get", "/v2/health/live", "The process is alive"),
        ("get", "/v2/health/ready", "A model answers"),
        ("get", "/v2/models/{name}", "The model's tensors; also under /versions/{version}, as all below"),
        ("get", "/v2/models/{name}/ready", "This model answers"),
        ("get", "/v2/models/{name}/config", "The model's configuration as Triton tells it"),
        ("get", "/v2/models/{name}/stats", "What was answered and how long it took, over all replicas"),
        ("post", "/v2/models/{name}/infer", "Predict from tensors, as JSON or binary, packed or not"),
        ("post", "/v2/repository/index", "The versions that are known here"),
    )
}

ERRORS = {
    "400": "The form is broken.",
    "408": "The request did not arrive in time.",
    "413": "The request, the image or the sweep is too large.",
    "415": "A format that is not read.",
    "422": "A field is wrong, missing or unknown; the answer names it.",
    "503": "No model answers yet, or too many requests wait; see Retry-After.",
    "504": "There was no answer in time.",
}


def _field(tensor: Tensor) -> dict[str, Any]:
    kind = {"type": "string", "format": "binary"} if tensor.media in FILES else {"type": "string"}
    return {**kind, "description": _told(tensor)}


def _output(tensor: Tensor) -> dict[str, Any]:
    leaf: dict[str, Any] = {"type": "string" if tensor.dtype == "text" else "number"}
    for _ in tensor.shape if tensor.shape != (1,) else ():
        leaf = {"type": "array", "items": leaf}
    return {**leaf, "description": _told(tensor)}


def _told(tensor: Tensor) -> str:
    shape = " x ".join("any" if size < 0 else str(size) for size in tensor.shape) or "one value"
    return f"{tensor.description} ({tensor.dtype}, {shape})".strip()
