"""Pictures of coloured shapes and what is said of them, made by code."""

from fusegpt.data.shapes.config import ShapesData

__all__ = ["ShapesData"]
