"""`ParallelTextData`: the settings of a file of text pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.tasks.task import Splits


class ParallelTextData(Config):
    """A UTF-8 file with one pair a line: source, a tab, target."""

    source: Literal["parallel_text"] = Field(default="parallel_text", description="Where the samples come from.")
    path: str = Field(description="The tab-separated file.")
    max_tokens: int = Field(default=256, ge=2, description="The longest text, in bytes of UTF-8 and an end.")
    on_problem: Literal["skip", "refuse"] = Field(
        default="refuse", description="What to do with a broken or too long line: leave it out, or refuse the file."
    )
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of the sources for validation.")
    test_fraction: float = Field(default=0.1, ge=0, lt=1, description="Share of the sources for the test.")

    @model_validator(mode="after")
    def _leaves_training(self) -> ParallelTextData:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.val_fraction + data.test_fraction ({self.val_fraction} + {self.test_fraction}) must be below 1"
            )
        return self

    def open_splits(self, cache: Path) -> Splits:
        """The pairs of the file. Raises DataError naming the file and its line."""
        del cache
        from fusegpt.data.parallel_text.reader import open_splits

        return open_splits(self)
