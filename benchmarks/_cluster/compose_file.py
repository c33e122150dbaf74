"""`Service`: what docker-compose.yml says of each service, and the Dockerfile of all of them, read without Docker."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE, DOCKERFILE = ROOT / "docker-compose.yml", ROOT / "Dockerfile"

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<bare>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-?+])(?P<word>[^{}]*))?\})")


@dataclass(frozen=True)
class Volume:
    """What is mounted where."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """One service, with the variables of `.env` filled in."""

    name: str
    raw: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return _words(self.raw.get("entrypoint")) + _words(self.raw.get("command"))

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.raw.get("environment", {}).items()}

    @property
    def after(self) -> list[str]:
        """The services that have to be healthy before it starts."""
        return [name for name, how in self.raw.get("depends_on", {}).items() if how["condition"] == "service_healthy"]

    @property
    def profiles(self) -> list[str]:
        return list(self.raw.get("profiles", []))

    @property
    def check(self) -> list[str]:
        """The command of the health check."""
        kind, *command = self.raw["healthcheck"]["test"]
        assert kind == "CMD"
        return [str(word) for word in command]

    @property
    def health_s(self) -> float:
        """How long it may take until it is healthy, by the health check's own words."""
        check = self.raw["healthcheck"]
        return _seconds(check["start_period"]) + int(check["retries"]) * _seconds(check["interval"])

    @property
    def volumes(self) -> list[Volume]:
        parts = (volume.split(":") for volume in self.raw.get("volumes", []))
        return [Volume(source, target, mode == ["ro"]) for source, target, *mode in parts]

    @property
    def is_ours(self) -> bool:
        """Whether its image is the one of the Dockerfile."""
        return "build" in self.raw


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services of docker-compose.yml by name. Raises ValueError naming a required variable that is not there."""
    return {name: Service(name, raw) for name, raw in filled(document(), variables)["services"].items()}


def document() -> dict[str, Any]:
    """docker-compose.yml as it is written."""
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return read


def filled(tree: Any, variables: Mapping[str, str]) -> Any:
    """A tree of YAML with its variables filled in, as Compose does it."""
    if isinstance(tree, dict):
        return {key: filled(value, variables) for key, value in tree.items()}
    if isinstance(tree, list):
        return [filled(value, variables) for value in tree]
    return interpolated(tree, variables) if isinstance(tree, str) else tree


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`$X`, `${X:-default}`, `${X:?message}`, `${X:+instead}` and `$$`. Raises ValueError with the message."""

    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, how, word = found["name"] or found["bare"], found["how"] or "", found["word"] or ""
        given = variables.get(name)
        there = bool(given) if how.startswith(":") else given is not None
        if how.endswith("+"):
            return interpolated(word, variables) if there else ""
        if there:
            return given or ""
        if how.endswith("?"):
            raise ValueError(f"{name}: {word}")
        return word if how.endswith("-") else ""

    return _VARIABLE.sub(value, text)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order: ("RUN", "pip install ...")."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def image_environment() -> dict[str, str]:
    """What the image's ENV lines set."""
    lines = [rest for name, rest in instructions() if name == "ENV"]
    return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))


def _words(command: str | list[str] | None) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command or [])


def _seconds(written: str) -> float:
    found = re.fullmatch(r"(\d+)(s|m)", written)
    assert found, written
    return int(found[1]) * {"s": 1, "m": 60}[found[2]]
