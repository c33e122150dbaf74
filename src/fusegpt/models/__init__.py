"""Architectures, one per file (the fusion model is a folder), each with its config."""

from typing import Annotated

from pydantic import Field

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.sequence.config import SequenceConfig

# One more architecture is one more member, told apart by `kind`.
ModelConfig = Annotated[FusionConfig | GPTConfig | SequenceConfig, Field(discriminator="kind")]

__all__ = ["FusionConfig", "GPTConfig", "ModelConfig", "SequenceConfig"]
