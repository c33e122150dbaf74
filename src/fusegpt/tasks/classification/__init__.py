"""Classification: a picture in, its class and the probabilities of all out."""

from fusegpt.tasks.classification.config import ClassificationConfig

__all__ = ["ClassificationConfig"]
