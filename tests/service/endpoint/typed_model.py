"""A small model that takes every datatype, and clients that ask an endpoint for it over gRPC and over HTTP."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tiny_model
from tiny_model import ShelfOnDisk

from fusegpt.signature import Signature, Tensor
from service.endpoint.config import EndpointConfig
from service.endpoint.server import Endpoint, serve
from service.settings import Settings

Arrays = dict[str, np.ndarray[Any, Any]]
TOKEN = "a-long-and-random-one"
TYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "object": "BYTES"}
RIGHT: dict[str, Any] = {
    "image": np.arange(32 * 64 * 3, dtype=np.uint8).reshape(1, 32, 64, 3),
    "sweep": np.random.default_rng(0).normal(size=(1, 500, 4)).astype(np.float32),
    "count": np.int64([[-(2**40)]]),
    "text": np.array(["straßé 🚗"], object),
}


class TypedPredictor:
    """Sums that show each bit of what was sent, times the version; and the process that made them."""

    signature = Signature(
        inputs=(
            Tensor(name="image", dtype="uint8", shape=(-1, -1, 3), media="image"),
            Tensor(name="sweep", dtype="float32", shape=(-1, 4), media="sweep"),
            Tensor(name="count", dtype="int64", shape=(1,)),
            Tensor(name="text", dtype="text", shape=(), media="text", max_rows=1000),
        ),
        outputs=(
            Tensor(name="sums", dtype="float32", shape=(2,)),
            Tensor(name="count", dtype="int64", shape=(1,)),
            Tensor(name="text", dtype="text", shape=(), media="text"),
            Tensor(name="process", dtype="int64", shape=(1,)),
        ),
    )

    def __init__(self, version: int) -> None:
        self.version = version

    def warm_up(self) -> None:
        pass

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
        return [self._answer(item) for item in inputs]

    def _answer(self, item: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        weights = np.linspace(0.1, 1, item["sweep"].size, dtype=np.float32)
        sums = np.float32([np.dot(item["sweep"].reshape(-1), weights), item["image"].astype(np.float32).std()])
        return {
            "sums": sums * np.float32(self.version),
            "count": np.asarray(item["count"] * self.version, np.int64),
            "text": np.asarray(str(item["text"]) * 2),
            "process": np.int64([os.getpid()]),
        }


def load_typed(folder: Path) -> TypedPredictor:
    return TypedPredictor(int(folder.name))


@contextmanager
def typed_endpoint(home: Path, shelf: ShelfOnDisk, config: EndpointConfig) -> Iterator[Endpoint]:
    """A real endpoint with tokens and gRPC; it answers when this yields."""
    import sys

    from ray import cloudpickle

    modules = [tiny_model, sys.modules[__name__]]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    file = home / "tokens"
    file.write_text(f"ann viewer {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    ports = {"FUSEGPT_PORT": "0", "FUSEGPT_GRPC_PORT": "0"}
    settings = Settings.read({"FUSEGPT_HOME": str(home), "FUSEGPT_TOKENS": str(file), **ports})
    with serve(settings, "typed", config, partial(ShelfOnDisk, shelf.root), load_typed) as endpoint:
        yield endpoint
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


def headers(token: str = TOKEN) -> dict[str, str]:
    """New each time: Triton's HTTP client adds its own to what it is given."""
    return {"authorization": f"Bearer {token}"}


def given(module: Any, arrays: dict[str, Any]) -> list[Any]:
    """The inputs for a client of `tritonclient.grpc` or `.http`."""
    inputs = []
    for name, array in arrays.items():
        inputs.append(module.InferInput(name, list(array.shape), TYPES[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array)
    return inputs
