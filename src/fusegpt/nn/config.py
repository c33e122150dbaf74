"""Settings of the parts: their names, and LoRA's. Nothing here needs PyTorch, so that a spec is read quickly."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, field_validator

from fusegpt.config import Config

NormName = Literal["layernorm", "rmsnorm", "groupnorm", "instancenorm", "batchnorm"]
PositionName = Literal["sinusoidal", "learned"]

# Norms that let a token see others: through them the future leaks into the past, and padding into words.
ACROSS_TOKENS = ("instancenorm", "batchnorm")


def require_by_token(name: NormName, because: str) -> None:
    """Raises ValueError naming `model.norm` where that norm lets a token see others."""
    if name in ACROSS_TOKENS:
        own = ", ".join(other for other in get_args(NormName) if other not in ACROSS_TOKENS)
        raise ValueError(f"model.norm ({name}) takes its statistics over tokens, {because}; {own} are right here")


class LoraConfig(Config):
    """Which linear layers learn by adapters alone, and how wide those are."""

    rank: int = Field(default=0, ge=0, description="Rank of the adapters; 0 trains the whole model without any.")
    alpha: float = Field(default=16.0, gt=0, description="What the adapters add is scaled by alpha / rank.")
    pdrop: float = Field(default=0.0, ge=0, lt=1, description="Dropout of what enters an adapter.")
    targets: tuple[str, ...] = Field(
        default=(r"attn\.qkv",), min_length=1, description="Regular expressions that the end of a layer's name matches."
    )

    checkpoint: Literal["whole", "adapters"] = Field(
        default="whole", description="What a checkpoint holds: the whole model, or adapters for model.pretrained alone."
    )

    @field_validator("targets")
    @classmethod
    def _are_expressions(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for target in targets:
            try:
                re.compile(target)
            except re.error as error:
                raise ValueError(f"{target!r} is no regular expression ({error})") from None
        return targets
