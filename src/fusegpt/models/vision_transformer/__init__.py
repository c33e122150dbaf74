"""The Vision Transformer."""

from fusegpt.models.vision_transformer.config import VisionTransformerConfig

__all__ = ["VisionTransformerConfig"]
