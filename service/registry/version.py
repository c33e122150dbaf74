"""`Version`: one registered model, as the registry tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SHA256 = "fusegpt.sha256."
WITHDRAWN, WITHDRAWN_AT = "fusegpt.withdrawn", "fusegpt.rolled_back"  # why, and when


@dataclass(frozen=True)
class Version:
    """One registered model. `metrics` are those of its training; `reason` is what the gate said, if it was asked."""

    name: str
    number: int
    run_id: str
    metrics: Mapping[str, float]
    created: datetime
    tags: Mapping[str, str]

    @property
    def sha256(self) -> dict[str, str]:
        """File name -> SHA-256, as registered."""
        return {key.removeprefix(SHA256): value for key, value in self.tags.items() if key.startswith(SHA256)}

    @property
    def reason(self) -> str:
        return self.tags.get("fusegpt.reason", "")

    @property
    def withdrawn(self) -> str:
        """Why it was taken out of the traffic; empty where it was not, or was promoted anew."""
        return self.tags.get(WITHDRAWN, "")

    @property
    def previous_champion(self) -> int | None:
        """The champion that this version took over from."""
        number = self.tags.get("previous_champion", "")
        return int(number) if number.isdigit() else None


def version_of(model: ModelVersion) -> Version:
    """Our view of MLflow's."""
    return Version(
        name=model.name,
        number=int(model.version),
        run_id=model.run_id or "",
        metrics=json.loads(model.tags.get("fusegpt.metrics", "{}")),
        created=datetime.fromtimestamp(model.creation_timestamp / 1000, tz=UTC),
        tags=dict(model.tags),
    )
