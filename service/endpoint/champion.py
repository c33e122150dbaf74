"""Which model answers: the registry's champion, watched, and taken over in place when it changes.

A new version is loaded beside the old one, warmed and tried; only then it answers. Whatever goes wrong with it, the old
one goes on: a bad version can never take the endpoint down.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fusegpt.signature import Signature
from service.endpoint.config import EndpointConfig
from service.endpoint.example import example
from service.settings import Settings

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray[Any, Any]]
LONGEST_PAUSE_S = 600.0


class Predictor(Protocol):
    """A loaded model: arrays by name in, arrays by name out."""

    @property
    def signature(self) -> Signature: ...

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> Sequence[Arrays]:
        """One answer per request, in order. Raises InputError naming the field."""
        ...

    def warm_up(self) -> object: ...


class Champions(Protocol):
    """Where the present champion is found."""

    def version(self) -> int | None:
        """The champion's version, or None where there is no champion yet. Cheap: asked every few seconds."""
        ...

    def folder(self, version: int) -> Path:
        """That version's files on this machine, fetched where needed."""
        ...


class RegistryChampions:
    """The champion of one experiment in the model registry."""

    def __init__(self, settings: Settings, name: str) -> None:
        from service.registry import Registry

        self._registry = Registry(settings)
        self._name = name

    def version(self) -> int | None:
        champion = self._registry.champion(self._name)
        return None if champion is None else champion.number

    def folder(self, version: int) -> Path:
        return self._registry.download(self._registry.version(self._name, version))


@dataclass(frozen=True)
class Served:
    """A model that answers."""

    name: str
    version: int
    predictor: Predictor
    signature: Signature
    metrics: Mapping[str, Any]
    since: float


@dataclass(frozen=True)
class Refusal:
    """A version that was promoted and does not answer, and why."""

    version: int
    reason: str
    attempts: int
    retry_at: float


def load_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """The library's own predictor."""
    from fusegpt.predictor import Predictor as LibraryPredictor

    return LibraryPredictor.load(folder, device)


class Watcher:
    """Keeps `served` at the champion. `poll` blocks while it loads: call it from a thread, one at a time."""

    def __init__(
        self,
        name: str,
        champions: Champions,
        config: EndpointConfig,
        load: Callable[[Path], Predictor] = load_predictor,
    ) -> None:
        self.name = name
        self.served: Served | None = None
        self.refused: Refusal | None = None
        self.trouble = ""
        self._champions = champions
        self._config = config
        self._load = load

    @property
    def waiting_for(self) -> str:
        """Why nothing is served yet; empty where a model answers."""
        if self.served is not None:
            return ""
        if self.refused is not None:
            return f"version {self.refused.version} of {self.name} was refused: {self.refused.reason}"
        return self.trouble or f"{self.name} has no champion yet: promote a version"

    def poll(self) -> None:
        """Ask for the champion and take it over where it is new. Never raises."""
        try:
            version = self._champions.version()
            self.trouble = "" if version is not None else f"{self.name} has no champion yet: promote a version"
        except Exception as error:
            self.trouble = f"the registry does not answer: {_told(error)}"
            log.warning("%s: %s", self.name, self.trouble)
            return
        if version is None or (self.served is not None and version == self.served.version):
            self.refused = None
        elif not self._is_pausing(version):
            self._take_over(version)

    def _is_pausing(self, version: int) -> bool:
        refused = self.refused
        return refused is not None and refused.version == version and time.monotonic() < refused.retry_at

    def _take_over(self, version: int) -> None:
        try:
            self.served = self._tried(version)
            self.refused = None
            log.info("%s: version %d answers", self.name, version)
        except Exception as error:
            self.refused = self._refusal(version, _told(error))
            log.exception("%s: version %d is refused, %s goes on", self.name, version, self._present())

    def _present(self) -> str:
        return f"version {self.served.version}" if self.served else "no version"

    def _refusal(self, version: int, reason: str) -> Refusal:
        before = self.refused.attempts if self.refused and self.refused.version == version else 0
        pause = min(self._config.retry_refused_s * 2**before, LONGEST_PAUSE_S)
        return Refusal(version, reason, before + 1, time.monotonic() + pause)

    def _tried(self, version: int) -> Served:
        """The version, loaded, warm, and proven to answer with finite numbers at every batch size's ends."""
        folder = self._champions.folder(version)
        predictor = self._load(folder)
        signature = predictor.signature
        predictor.warm_up()
        for size in sorted({1, self._config.max_batch_size}):
            check_answers(predictor.predict([example(signature)] * size), signature, size)
        return Served(self.name, version, predictor, signature, _metrics(folder), time.time())


def check_answers(answers: Sequence[Arrays], signature: Signature, count: int) -> None:
    """Raises ValueError where answers are missing, misnamed or not finite."""
    if len(answers) != count:
        raise ValueError(f"{count} requests gave {len(answers)} answers")
    names = {tensor.name for tensor in signature.outputs}
    for answer in answers:
        if set(answer) != names:
            raise ValueError(f"it answers {sorted(answer)}, its signature says {sorted(names)}")
        for name, value in answer.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"its {name} is not finite")


def _metrics(folder: Path) -> Mapping[str, Any]:
    """The figures that the training kept beside the weights, where it did."""
    file = folder / "metrics.json"
    return dict(json.loads(file.read_text()).get("metrics", {})) if file.is_file() else {}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
