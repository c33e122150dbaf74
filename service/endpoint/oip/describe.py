"""What the protocol tells of a server and its model: metadata, configuration, index and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusegpt.signature import Tensor
from service.endpoint.champion import Served, Watcher
from service.endpoint.metrics import Totals
from service.endpoint.oip.datatypes import FILES, batched_shape, datatype

EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]


def server(version: str) -> dict[str, Any]:
    """The server's metadata."""
    return {"name": "fusegpt", "version": version, "extensions": EXTENSIONS}


def model(served: Served) -> dict[str, Any]:
    """The model's metadata, from its signature."""
    return {
        "name": served.name,
        "versions": [str(served.version)],
        "platform": "fusegpt_pytorch",
        "inputs": [_tensor(tensor, as_input=True) for tensor in served.signature.inputs],
        "outputs": [_tensor(tensor, as_input=False) for tensor in served.signature.outputs],
    }


def configuration(served: Served, max_batch_size: int) -> dict[str, Any]:
    """The part of Triton's model configuration that its clients read. Its shapes are without the batch dimension."""
    return {
        "name": served.name,
        "platform": "fusegpt_pytorch",
        "backend": "fusegpt",
        "max_batch_size": max_batch_size,
        "input": [_configured(tensor) for tensor in served.signature.inputs],
        "output": [_configured(tensor) for tensor in served.signature.outputs],
        "dynamic_batching": {},
    }


def index(watcher: Watcher, only_ready: bool) -> list[dict[str, str]]:
    """The versions that are known here: what answers, and what was refused with the reason."""
    rows: list[dict[str, str]] = []
    if watcher.served is not None:
        version = str(watcher.served.version)
        rows.append({"name": watcher.name, "version": version, "state": "READY", "reason": ""})
    if watcher.refused is not None and not only_ready:
        refused = watcher.refused
        version, reason = str(refused.version), refused.reason
        rows.append({"name": watcher.name, "version": version, "state": "UNAVAILABLE", "reason": reason})
    return rows


def statistics(served: Served, totals: Totals) -> dict[str, Any]:
    """Triton's statistics, over all replicas since they started."""
    version = str(served.version)
    encode, forward = totals.stage(version, "encode"), totals.stage(version, "forward")
    return {
        "model_stats": [
            {
                "name": served.name,
                "version": version,
                "last_inference": int(1000 * totals.last_answer_s(version)),
                "inference_count": totals.samples(version),
                "execution_count": totals.batches(version),
                "inference_stats": {
                    "success": _duration(totals.requests(version)),
                    "fail": {"count": totals.errors(version), "ns": 0},
                    "queue": _duration(totals.stage(version, "wait")),
                    "compute_input": _duration(encode),
                    "compute_infer": _duration(forward),
                    "compute_output": _duration(totals.stage(version, "respond")),
                },
                "batch_stats": [],
            }
        ]
    }


def _duration(counted: tuple[int, float]) -> dict[str, int]:
    count, seconds = counted
    return {"count": count, "ns": int(1e9 * seconds)}


def _tensor(tensor: Tensor, *, as_input: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tensor.name, "datatype": datatype(tensor), "shape": batched_shape(tensor)}
    parameters: Mapping[str, Any] = {
        "description": tensor.description,
        "content_type": tensor.media if as_input else "",
        "also_accepts": "BYTES: the file itself" if as_input and tensor.media in FILES else "",
        "layout": "NHWC" if as_input and tensor.media == "image" else "",
    }
    return {**told, "parameters": {key: value for key, value in parameters.items() if value}}


def _configured(tensor: Tensor) -> dict[str, Any]:
    kind = {"UINT8": "TYPE_UINT8", "INT64": "TYPE_INT64", "FP32": "TYPE_FP32", "BYTES": "TYPE_STRING"}
    return {"name": tensor.name, "data_type": kind[datatype(tensor)], "dims": list(tensor.shape) or [1]}
