"""A small model to serve: no weights, its answers tell what it was given. And the requests that fit it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fusegpt.signature import InputError, Signature, Tensor
from service.endpoint.champion import Wanted
from service.endpoint.guard import GuardConfig
from service.registry import Rollout

Arrays = dict[str, np.ndarray[Any, Any]]

SIGNATURE = Signature(
    inputs=(
        Tensor(name="image", dtype="uint8", shape=(-1, -1, 3), media="image", description="front camera"),
        Tensor(name="sweep", dtype="float32", shape=(-1, 4), media="sweep", description="x y z reflectance"),
        Tensor(name="speed_mps", dtype="float32", shape=(1,), description="speed in metres per second"),
        Tensor(name="target_point", dtype="float32", shape=(2,), description="x y in metres"),
    ),
    outputs=(
        Tensor(name="waypoints", dtype="float32", shape=(4, 2), description="x y in metres"),
        Tensor(name="steer", dtype="float32", shape=(1,)),
    ),
)


# For endpoints whose traffic tells nothing of a version: where a machine is busy, whoever answers may be slow.
NEVER_SLOW = GuardConfig(latency_ms=1e9)


class TinyPredictor:
    """Waypoints that repeat the target point; steer is the sweep's number of points."""

    def __init__(self, factor: float = 1.0) -> None:
        self.signature = SIGNATURE
        self.factor = factor
        self.batches: list[int] = []

    def warm_up(self) -> None:
        pass

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
        self.batches.append(len(inputs))
        return [self._answer(item) for item in inputs]

    def _answer(self, item: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        if item["speed_mps"][0] < 0:
            raise InputError("speed_mps", "must not be negative")
        waypoints = np.tile(item["target_point"] * self.factor, (4, 1)).astype(np.float32)
        return {"waypoints": waypoints, "steer": np.asarray([len(item["sweep"])], np.float32)}


class TextPredictor:
    """Repeats a text `count` times: nothing in it is about driving."""

    signature = Signature(
        inputs=(
            Tensor(name="text", dtype="text", shape=(), media="text", max_rows=1000),
            Tensor(name="count", dtype="int64", shape=(1,)),
        ),
        outputs=(
            Tensor(name="text", dtype="text", shape=(), media="text"),
            Tensor(name="length", dtype="int64", shape=(1,)),
        ),
    )

    def warm_up(self) -> None:
        pass

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[Arrays]:
        texts = [str(item["text"]) * int(item["count"][0]) for item in inputs]
        return [{"text": np.asarray(text), "length": np.array([len(text)])} for text in texts]


class Shelf:
    """Champions in memory: `number` is the champion, `former` the one before it."""

    def __init__(self, number: int | None = 1) -> None:
        self.number = number
        self.former: int | None = None
        self.challenger: int | None = None
        self.rollout: Rollout | None = None
        self.asked = 0
        self.fetched: list[int] = []
        self.withdrawn: dict[int, str] = {}
        self.down = False

    def promote(self, number: int) -> None:
        self.former, self.number = self.number, number

    def wanted(self) -> Wanted:
        self.asked += 1
        if self.down:
            raise ConnectionError("no registry")
        return Wanted(self.number, self.former, self.challenger, self.rollout)

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        del former
        if version not in (self.challenger, self.number):
            return
        self.withdrawn[version] = reason  # first: who sees another champion may ask why
        if version == self.challenger:
            self.challenger = self.rollout = None
        else:
            self.number, self.former = self.former, None

    def folder(self, version: int) -> Path:
        self.fetched.append(version)
        return Path(str(version))


class ShelfOnDisk:
    """Champions in a folder that any process can reach: `champion` holds the number and that of the one before."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def promote(self, version: int) -> None:
        self._write(version, self.wanted().champion)

    def wanted(self) -> Wanted:
        file = self.root / "champion"
        champion, former = json.loads(file.read_text()) if file.exists() else (None, None)
        return Wanted(champion, former)

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        del former
        wanted = self.wanted()
        if wanted.champion == version:
            (self.root / f"withdrawn {version}").write_text(reason)
            self._write(wanted.former, None)

    def _write(self, champion: int | None, former: int | None) -> None:
        fresh = self.root / f"fresh {os.getpid()}"
        fresh.write_text(json.dumps([champion, former]))
        fresh.replace(self.root / "champion")

    def folder(self, version: int) -> Path:
        return self.root / str(version)


def load_by_name(folder: Path) -> TinyPredictor:
    """Version 13 is broken; every other multiplies by its number."""
    if folder.name == "13":
        raise FileNotFoundError("model.safetensors is missing")
    return TinyPredictor(float(folder.name))


def png(width: int = 64, height: int = 32, mode: str = "RGB", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), 0 if mode in ("1", "L", "P", "I;16") else None).save(file, kind)
    return file.getvalue()


def sweep(points: int = 50) -> bytes:
    return np.arange(points * 4, dtype=np.float32).tobytes()


def form(**changes: Any) -> dict[str, Any]:
    """A right request as `files=` of the client; a field given as None is left out."""
    fields: dict[str, Any] = {
        "image": ("f.png", png()),
        "sweep": ("s.bin", sweep()),
        "speed_mps": (None, "5.5"),
        "target_point": (None, "20.0,1.5"),
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}
