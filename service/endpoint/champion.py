"""Which model answers: what a served model is, and where the registry's champion is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fusegpt.signature import Signature
from service.registry.rollout import Rollout
from service.settings import Settings

if TYPE_CHECKING:
    from fusegpt.predictor import EngineName

Arrays = dict[str, np.ndarray[Any, Any]]


class Predictor(Protocol):
    """A loaded model: arrays by name in, arrays by name out."""

    @property
    def signature(self) -> Signature: ...

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> Sequence[Arrays]:
        """One answer per request, in order. Raises InputError naming the field."""
        ...

    def warm_up(self) -> object: ...


@dataclass(frozen=True)
class Wanted:
    """The versions that the registry wants to answer. `former` is served where the champion cannot be loaded."""

    champion: int | None = None
    former: int | None = None
    challenger: int | None = None
    rollout: Rollout | None = None


class Champions(Protocol):
    """Where the present champion is found, and who is tried beside it."""

    def wanted(self) -> Wanted:
        """Who should answer now. Cheap: asked every few seconds."""
        ...

    def folder(self, version: int) -> Path:
        """That version's files on this machine, fetched where needed."""
        ...

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        """Take a version that misbehaves out of the traffic of every replica. Nothing where that was done already.

        `former` is who answers here instead of a champion.
        """
        ...


class RegistryChampions:
    """The champion of one experiment in the model registry."""

    def __init__(self, settings: Settings, name: str) -> None:
        from service.registry import Registry

        self._registry = Registry(settings)
        self._name = name

    def wanted(self) -> Wanted:
        lineup = self._registry.lineup(self._name)
        champion, challenger = lineup.champion, lineup.challenger
        return Wanted(
            champion=champion.number if champion else None,
            former=lineup.former,
            challenger=challenger.version.number if challenger else None,
            rollout=challenger.rollout if challenger else None,
        )

    def folder(self, version: int) -> Path:
        return self._registry.download(self._registry.version(self._name, version))

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        self._registry.withdraw(self._name, version, reason, former)


@dataclass(frozen=True)
class Served:
    """A model that answers."""

    name: str
    version: int
    predictor: Predictor
    signature: Signature
    metrics: Mapping[str, Any]
    since: float


def answered_by(served: Served) -> dict[str, str]:
    """The header that tells which version answered."""
    return {"Fusegpt-Model-Version": str(served.version)}


def load_predictor(folder: Path, device: str = "cpu", engine: EngineName = "auto") -> Predictor:
    """The library's own predictor, made ready to answer."""
    from fusegpt.predictor import Predictor as LibraryPredictor

    return LibraryPredictor.load(folder, device).ready(engine)
