"""Dates as people write them in many languages, and as ISO 8601 writes them."""

from fusegpt.data.dates.config import DatesData

__all__ = ["DatesData"]
