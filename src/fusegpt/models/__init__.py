"""Architectures, one per file (the fusion model is a folder), each with its config."""

from typing import Annotated

from pydantic import Field

from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.row_recurrent.config import RowRecurrentConfig
from fusegpt.models.sequence.config import SequenceConfig
from fusegpt.models.text_to_image.config import TextToImageConfig
from fusegpt.models.vision_transformer.config import VisionTransformerConfig

# One more architecture is one more member, told apart by `kind`.
ModelConfig = Annotated[
    FusionConfig
    | GPTConfig
    | SequenceConfig
    | EncoderDecoderConfig
    | RowRecurrentConfig
    | VisionTransformerConfig
    | TextToImageConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "EncoderDecoderConfig",
    "FusionConfig",
    "GPTConfig",
    "ModelConfig",
    "RowRecurrentConfig",
    "SequenceConfig",
    "TextToImageConfig",
    "VisionTransformerConfig",
]
