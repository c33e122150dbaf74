"""What a spec from outside may ask for: a registered experiment, data under a configured root, what the machine has.

A spec names settings, never code: experiments are found by name among the files of `experiments/`, and what is a path
(`data.root`, weights to begin with) must lie where the operator said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.jobs.job import NAME
from service.jobs.queue import Capacity, held_by
from service.settings import Settings
from service.spec import JobSpec, resolve


@dataclass(frozen=True)
class Admitted:
    """A spec that may run: the experiment that it makes, its JSON as it is kept, and what it holds while it runs."""

    experiment: Experiment
    spec: dict[str, Any]
    holds: Capacity


def admit(spec: JobSpec, settings: Settings, capacity: Capacity) -> Admitted:
    """Raises SettingError naming the dotted key, whatever is wrong; nothing has been started or read then."""
    _plain(spec)
    if spec.name and not re.fullmatch(NAME, spec.name):
        raise SettingError(f"name: {spec.name!r} must be letters, digits, `_`, `-` and `.`, 128 at most")
    experiment = resolve(spec)
    root = _root(experiment, settings)
    if root is not None:
        written = {key: value for key, value in spec.set.items() if key != "data.root"}
        spec = spec.model_copy(update={"data": {**spec.data, "root": root}, "set": written})
        experiment = resolve(spec)
    experiment.task.build(experiment)
    return Admitted(experiment, spec.model_dump(mode="json"), held_by(experiment, capacity))


def _plain(spec: JobSpec) -> None:
    """JSON's values only: no infinities, no text that is no text."""
    try:
        text = json.dumps(spec.model_dump(), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise SettingError("spec: numbers must be finite, and texts must be UTF-8") from None
    if "\\u0000" in text:
        raise SettingError("spec: a text must not hold the character U+0000")


def _root(experiment: Experiment, settings: Settings) -> str | None:
    """Where the data is, with nothing left in it that leads elsewhere; None where the experiment makes its own."""
    data = experiment.data.model_dump(mode="json")
    roots = [root.resolve() for root in settings.roots]
    for key, text in _texts(experiment.model_dump(mode="json", exclude={"description"})):
        if key != "data.root":
            _leads_nowhere(key, text, roots)
    if "root" not in data:
        return None
    if not settings.roots:
        raise SettingError("data.root: this service has no recorded data; its operator sets FUSEGPT_DATA_ROOTS")
    written = Path(data["root"])
    if written.is_absolute() and any(written.resolve().is_relative_to(root) for root in roots):
        return str(written.resolve())
    allowed = ", ".join(str(root) for root in roots)
    raise SettingError(f"data.root: {data['root']!r} is not among the data of this service; write {allowed}")


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text among nested settings, with its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner, key)


def _leads_nowhere(key: str, text: str, roots: Sequence[Path]) -> None:
    """A text may name what lies below a configured root (weights to begin with), and must not lead elsewhere."""
    if not text.startswith(("/", "~")) and ".." not in re.split(r"[/\\]", text):
        return
    if not text.startswith("/") or not any(Path(text).resolve().is_relative_to(root) for root in roots):
        raise SettingError(f"{key}: {text!r} leads out of the data of this service; write a name, or a path below it")
