"""The encoder-decoder Transformer."""

from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig

__all__ = ["EncoderDecoderConfig"]
