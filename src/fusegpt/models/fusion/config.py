"""`FusionConfig`: the settings of the fusion model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.models.fusion.model import FusionModel


class FusionConfig(Config):
    """Two image-like branches, joined by a GPT after each stage (Chitta et al., TransFuser, PAMI 2022)."""

    kind: Literal["fusion"] = Field(default="fusion", description="Which architecture this is.")
    n_head: int = Field(default=4, ge=1, description="Attention heads of each GPT.")
    n_embd: int | Literal["match"] = Field(default=128, description="Width of each GPT, or the stage's channels.")

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    def build(self) -> FusionModel:
        """A new model with freshly drawn weights."""
        from fusegpt.models.fusion.model import FusionModel

        return FusionModel(self)
