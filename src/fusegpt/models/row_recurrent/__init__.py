"""A recurrent network that reads a picture row by row."""

from fusegpt.models.row_recurrent.config import RowRecurrentConfig

__all__ = ["RowRecurrentConfig"]
