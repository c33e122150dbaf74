"""Architectures, one per file (the fusion model is a folder), each with its config."""

from fusegpt.models.fusion.config import FusionConfig

# One more architecture is one more member, told apart by `kind`.
ModelConfig = FusionConfig

__all__ = ["FusionConfig", "ModelConfig"]
