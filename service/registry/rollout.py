"""`Rollout`: how a challenger is tried on real requests before it may become champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from service.registry.version import Version


class Rollout(Config):
    """A canary answers a share of the requests; a shadow sees copies of them, and its answers go to nobody."""

    mode: Literal["canary", "shadow"] = Field(description="canary answers a share, shadow answers nobody.")
    share: float = Field(default=0.0, ge=0, lt=1, description="Share of the requests that a canary answers.")

    @model_validator(mode="after")
    def _fits(self) -> Rollout:
        if (self.mode == "canary") != (self.share > 0):
            raise ValueError("share: a canary answers a share above 0 and below 1 of the requests, a shadow none")
        return self

    @property
    def told(self) -> str:
        """In a few words."""
        return f"canary, {self.share:.3g} of the requests" if self.mode == "canary" else "shadow"


@dataclass(frozen=True)
class Challenger:
    """A version that is tried beside the champion, and how."""

    version: Version
    rollout: Rollout


@dataclass(frozen=True)
class Lineup:
    """Who should answer. `former` is whom to serve where the champion cannot be loaded."""

    champion: Version | None = None
    former: int | None = None
    challenger: Challenger | None = None


@dataclass(frozen=True)
class Ended:
    """What a rollback came to: who is champion now, and which version was taken out of the traffic."""

    champion: Version
    withdrawn: int
