"""Pairs of texts that say the same: source and target."""

from fusegpt.data.parallel_text.config import ParallelTextData

__all__ = ["ParallelTextData"]
