"""What `swap_under_load` swaps: models, the shelf that they stand on, and how two clients ask them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.fusion_waypoints import experiment
from fusegpt.predictor import EngineName
from fusegpt.signature import Signature, Tensor
from fusegpt.training.checkpoint import Scores, save_best
from service.client import Client
from service.endpoint.champion import Arrays, Predictor, Wanted, load_predictor
from service.endpoint.oip.datatypes import DATATYPES

LOADS_NOT, FAILS_ON_REQUESTS = 1001, 1002
# Points of a real request; the endpoint's own trial of a version has another number.
POINTS = {"tiny": 200, "fusion": 120_000}
NAMES = {"tiny": "tiny", "fusion": experiment.name}
PICTURE = (375, 1242, 3)  # KITTI's camera
PROCESS = "process-"

Request = dict[str, np.ndarray[Any, Any]]


class Shelf:
    """Champions in a file that every replica reads."""

    def __init__(self, root: Path) -> None:
        self._file = root / "champion"

    def promote(self, version: int | None, former: int | None) -> None:
        fresh = self._file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps([version, former]))
        fresh.replace(self._file)

    def wanted(self) -> Wanted:
        return Wanted(*json.loads(self._file.read_text()))

    def folder(self, version: int) -> Path:
        return self._file.parent / str(version)

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        del reason, former
        wanted = self.wanted()
        if wanted.champion == version:
            self.promote(wanted.former, None)


class Tiny:
    """Answers with its version."""

    signature = Signature(
        inputs=(
            Tensor(name="sweep", dtype="float32", shape=(-1, 4), media="sweep"),
            Tensor(name="speed_mps", dtype="float32", shape=(1,)),
        ),
        outputs=(Tensor(name="version", dtype="int64", shape=(1,)),),
    )

    def __init__(self, version: int) -> None:
        self._version = version

    def warm_up(self) -> None:
        """Nothing in it is cold."""

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
        return [{"version": np.array([self._version])} for _ in inputs]


class Failing:
    """A version that looks well until real requests come."""

    def __init__(self, inner: Predictor, points: int) -> None:
        self._inner, self._points = inner, points

    @property
    def signature(self) -> Signature:
        return self._inner.signature

    def warm_up(self) -> object:
        return self._inner.warm_up()

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> Sequence[Arrays]:
        if any(len(given["sweep"]) == self._points for given in inputs):
            raise RuntimeError("this version fails on real requests")
        return self._inner.predict(inputs)


def load(folder: Path, model: str, engine: EngineName) -> Predictor:
    """The version that the folder's name tells; leaves the number of its process beside the versions."""
    (folder.parent / f"{PROCESS}{os.getpid()}").touch()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.name}: model.safetensors is missing")
    version = int(folder.name)
    loaded = Tiny(version) if model == "tiny" else load_predictor(folder, engine=engine)
    return Failing(loaded, POINTS[model]) if version == FAILS_ON_REQUESTS else loaded


def save(root: Path, model: str, versions: Sequence[int]) -> None:
    """Folders of versions; the fusion model as drawn, each from a seed of its own."""
    for version in versions:
        folder = root / str(version)
        folder.mkdir()
        if model == "fusion":
            torch.manual_seed(version)
            drawn = experiment.task.build(experiment).build_model()
            save_best(folder, experiment, drawn, Scores(epoch=1, step=1, metrics={}))


def request(model: str) -> Request:
    rng = np.random.default_rng(0)
    sweep = rng.uniform((-40, -40, -2, 0), (40, 40, 2, 1), (POINTS[model], 4)).astype(np.float32)
    small: Request = {"sweep": sweep, "speed_mps": np.array([8.5], np.float32)}
    if model == "tiny":
        return small
    picture = rng.integers(0, 256, PICTURE, dtype=np.uint8)
    return {**small, "image": picture, "target_point": np.array([19.5, 0.4], np.float32)}


def our_client(url: str, model: str) -> Callable[[], int]:
    client, arrays = Client(url), request(model)
    return lambda: client.predict(**arrays).version


def stock_client(url: str, model: str) -> Callable[[], int]:
    import tritonclient.http as triton  # type: ignore[import-untyped]

    client = triton.InferenceServerClient(url.removeprefix("http://"))
    inputs = []
    for name, array in request(model).items():
        inputs.append(triton.InferInput(name, [1, *array.shape], DATATYPES[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array[None])
    return lambda: int(client.infer(NAMES[model], inputs).get_response()["model_version"])


CLIENTS = {"ours": our_client, "tritonclient": stock_client}
