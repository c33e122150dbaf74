"""Pictures of written digits: scikit-learn's, or MNIST's by path."""

from fusegpt.data.digits.config import DigitsData

__all__ = ["DigitsData"]
