"""`Config`: the frozen, strict pydantic model that every group of settings is, and how its errors are told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """Settings of one part, declared beside the class that reads them.

    Frozen, so that a config can be shared and hashed into a fingerprint; unknown keys are an error, so that a
    misspelt setting is never silently without effect. Every field carries a one-line description (a test holds it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class SettingError(ValueError):
    """A setting that a person wrote is wrong. The message names its dotted key and what would be right."""


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"n_head": 4}} -> {"model.n_head": 4}. Lists stay whole; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat


def closest(word: str, known: Iterable[str]) -> str:
    """A hint to append, `(did you mean X?)`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def explain(error: ValidationError, tags: Iterable[str] = (), known: Iterable[str] = ()) -> str:
    """A pydantic error in one line a problem, each with its dotted key.

    `tags` are the discriminator values that pydantic puts into the location and that no person wrote; `known` are
    dotted keys among which a misspelt one may have its right spelling.
    """
    hidden, spellings = set(tags), set(known)
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if part not in hidden)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"is no setting here{closest(key, spellings - {key})}"
        lines.append(f"{key}: {message}" if key else message)
    return "\n".join(lines)
