"""Translation: a text in, a text out."""

from fusegpt.tasks.translation.config import TranslationConfig

__all__ = ["TranslationConfig"]
