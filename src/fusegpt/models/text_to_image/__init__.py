"""Text to image: a discrete VAE and a GPT over the tokens of captions and pictures."""

from fusegpt.models.text_to_image.config import TextToImageConfig

__all__ = ["TextToImageConfig"]
