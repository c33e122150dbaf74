"""Text as windows of tokens."""

from fusegpt.data.text.config import TextData

__all__ = ["TextData"]
