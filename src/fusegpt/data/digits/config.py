"""`DigitsData`: the settings of pictures of written digits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.tasks.task import Splits

CLASSES = 10


class DigitsData(Config):
    """Without a path: the 1797 digits of 8x8 pixels that ship with scikit-learn (UCI's Optical Recognition).

    With one: a folder that holds the four files of MNIST, or of a set in the same format; its own test part is kept.
    """

    source: Literal["digits"] = Field(default="digits", description="Where the samples come from.")
    path: str = Field(default="", description="A folder with MNIST's IDX files (also .gz); empty takes scikit-learn's.")
    image_px: int = Field(default=28, ge=4, le=512, description="Height and width that pictures are scaled to.")
    val_fraction: float = Field(default=0.15, gt=0, lt=1, description="Share of the pictures for validation.")
    test_fraction: float = Field(
        default=0.15, gt=0, lt=1, description="Share of the pictures for the test (MNIST's own part with a path)."
    )
    seed: int = Field(default=0, ge=0, description="Seed of which pictures are held out.")

    @model_validator(mode="after")
    def _leaves_training(self) -> DigitsData:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.val_fraction + data.test_fraction ({self.val_fraction} + {self.test_fraction}) must be below 1"
            )
        return self

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return CLASSES

    def open_splits(self, cache: Path) -> Splits:
        """The three parts, in memory. Raises DataError naming the file."""
        del cache
        from fusegpt.data.digits.source import open_splits

        return open_splits(self)
