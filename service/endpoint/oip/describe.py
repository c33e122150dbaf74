"""What the protocol tells of a server and its model: metadata, configuration, index and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusegpt.signature import Tensor
from service.endpoint.champion import Served
from service.endpoint.metrics import Totals
from service.endpoint.oip.datatypes import FILES, batched_shape, datatype
from service.endpoint.watcher import Watcher
from service.registry.rollout import Rollout

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
    """The versions that are known here: what answers, what is tried, and what was refused with the reason."""
    line = watcher.lineup
    rows = [_row(watcher.name, line.champion.version, "READY", "")] if line.champion else []
    if line.challenger and line.rollout:
        rows.append(_row(watcher.name, line.challenger.version, "READY", line.rollout.told))
    if watcher.refused is not None and not only_ready:
        rows.append(_row(watcher.name, watcher.refused.version, "UNAVAILABLE", watcher.refused.reason))
    return rows


def _row(name: str, version: int, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "version": str(version), "state": state, "reason": reason}


def statistics(served: Served, totals: Totals, beside: Served | None, rollout: Rollout | None) -> dict[str, Any]:
    """Triton's statistics, over all replicas since they started; of a challenger too, with what its shadow showed."""
    told = [_statistics(served, totals)]
    if beside is not None and rollout is not None:
        told.append({**_statistics(beside, totals), "rollout": rollout.model_dump(mode="json")})
        if rollout.mode == "shadow":
            names = [tensor.name for tensor in beside.signature.outputs]
            told[-1]["shadow"] = totals.shadow(str(beside.version), names)
    return {"model_stats": told}


def _statistics(served: Served, totals: Totals) -> dict[str, Any]:
    version = str(served.version)
    return {
        "name": served.name,
        "version": version,
        "last_inference": int(1000 * totals.last_answer_s(version)),
        "inference_count": totals.samples(version),
        "execution_count": totals.batches(version),
        "inference_stats": {
            "success": _duration(totals.requests(version)),
            "fail": {"count": totals.errors(version), "ns": 0},
            "queue": _duration(totals.stage(version, "wait")),
            "compute_input": _duration(totals.stage(version, "encode")),
            "compute_infer": _duration(totals.stage(version, "forward")),
            "compute_output": _duration(totals.stage(version, "respond")),
        },
        "batch_stats": [],
        "failures": totals.version_errors(version),
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
