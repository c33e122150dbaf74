"""`Models`: who is meant by a name and a version, and what is told of it, whichever wire asks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

from service.endpoint.champion import Served
from service.endpoint.engine import Engine
from service.endpoint.oip import describe
from service.endpoint.problem import ProblemError


class Models:
    """The models that an engine answers with. A name or a version that is empty means any."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def served(self, name: str, version: str) -> Served:
        """The model of that name, else the champion. Raises ProblemError: 404 for another, 503 for none yet."""
        self._check(name)
        return self._engine.chosen({}, version or str(self._engine.served().version))

    def chosen(self, headers: Mapping[str, str], name: str, version: str) -> Served:
        """Who answers a request: the version that it names, or who is drawn. Raises as `served`."""
        self._check(name)
        return self._engine.chosen(headers, version)

    def _check(self, name: str) -> None:
        here = self._engine.watcher.name
        if name and name != here:
            raise ProblemError(404, f"there is no model {name[:80]!r} here; {here} is served")

    def server(self) -> dict[str, Any]:
        """The server's metadata."""
        return describe.server(installed_version("fusegpt"))

    def model(self, name: str, version: str) -> dict[str, Any]:
        """The model's metadata."""
        return describe.model(self.served(name, version))

    def configuration(self, name: str, version: str) -> dict[str, Any]:
        """Triton's configuration of the model."""
        return describe.configuration(self.served(name, version), self._engine.config.max_batch_size)

    async def statistics(self, name: str, version: str) -> dict[str, Any]:
        """Over all replicas; of a challenger too where no version is named."""
        served, line = self.served(name, version), self._engine.watcher.lineup
        beside = line.challenger if line.challenger and not version else None
        return describe.statistics(served, await self._engine.totals(), beside, line.rollout)

    def index(self, only_ready: bool) -> list[dict[str, str]]:
        """The versions that are known here."""
        return describe.index(self._engine.watcher, only_ready)


def told(stages_s: Mapping[str, float], batch_size: int) -> dict[str, float]:
    """Milliseconds of each stage, and with how many samples it was predicted."""
    return {**{f"{stage}_ms": round(1000 * value, 3) for stage, value in stages_s.items()}, "batch_size": batch_size}
