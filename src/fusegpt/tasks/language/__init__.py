"""Telling the next token of a text."""

from fusegpt.tasks.language.config import LanguageConfig

__all__ = ["LanguageConfig"]
