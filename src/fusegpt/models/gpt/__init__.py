"""The causal GPT of the GPT-2 family."""

from fusegpt.models.gpt.config import GPTConfig

__all__ = ["GPTConfig"]
