"""`ShapesData`: the settings of captioned pictures of shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.tasks.task import Splits


class ShapesData(Config):
    """One or two coloured shapes on white, and a caption: "a small red circle above a blue square".

    The parts share no combination: which coloured shape lies how to which other in a caption of the test is seen in
    training in no words and in no sizes.
    """

    source: Literal["shapes"] = Field(default="shapes", description="Where the samples come from.")
    image_px: int = Field(
        default=32, ge=32, le=256, multiple_of=16, description="Height and width of the pictures, a multiple of 16."
    )
    cells: Literal[8, 16] = Field(
        default=8, description="Places and sizes are whole numbers of so many cells along the picture's side."
    )
    train_samples: int = Field(default=8000, ge=1, description="Pictures for training.")
    val_samples: int = Field(default=100, ge=1, description="Pictures for validation.")
    test_samples: int = Field(default=500, ge=1, description="Pictures for the test.")
    single_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the training's pictures that show one shape alone."
    )
    open_size_fraction: float = Field(
        default=0.2, ge=0, le=1, description="Share of the shapes whose size the caption does not tell."
    )
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of the combinations for validation.")
    test_fraction: float = Field(default=0.2, gt=0, lt=1, description="Share of the combinations for the test.")
    seed: int = Field(default=0, ge=0, description="Seed of what is held out and of what is drawn.")

    @model_validator(mode="after")
    def _leaves_training(self) -> ShapesData:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.val_fraction + data.test_fraction ({self.val_fraction} + {self.test_fraction}) must be below 1"
            )
        return self

    def open_splits(self, cache: Path) -> Splits:
        """The three parts, drawn anew each time: the same settings, the same pictures."""
        del cache
        from fusegpt.data.shapes.source import open_splits

        return open_splits(self)
