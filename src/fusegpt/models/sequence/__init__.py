"""Sequence models behind one interface: Markov, fixed window, RNN, LSTM, GRU and GPT."""

from fusegpt.models.sequence.config import SequenceConfig

__all__ = ["SequenceConfig"]
