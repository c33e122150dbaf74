"""`changed`: a group of settings that is no part of a spec (the gate, the endpoint), as `--set` changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from fusegpt.config import Config, SettingError, explain, flatten
from service.spec import parse_assignments

Group = TypeVar("Group", bound=Config)


def changed(kind: type[Group], name: str, assignments: Sequence[str]) -> Group | None:
    """The group by its name, e.g. "gate" from ["gate.latency_ratio=2"]; None where nothing is changed.

    Raises SettingError naming the dotted key.
    """
    changes: dict[str, Any] = {}
    for key, value in parse_assignments(assignments).items():
        first, *path = key.split(".")
        if first != name or not path:
            known = ", ".join(f"{name}.{field}" for field in kind.model_fields)
            raise SettingError(f"{key}: is no setting here; there are {known}")
        inner = changes
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    try:
        return kind.model_validate(changes) if changes else None
    except ValidationError as error:
        told = explain(error, known=flatten(kind().model_dump(mode="json")))
        raise SettingError("\n".join(f"{name}.{line}" for line in told.splitlines())) from None
