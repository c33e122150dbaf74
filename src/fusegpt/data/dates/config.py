"""`DatesData`: the settings of dates in many languages, made by code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.tasks.task import Splits

# The longest date, in tokens, of any of CLDR's styles that are used here; a test holds it.
LONGEST = 96


class DatesData(Config):
    """Days written as the Unicode CLDR says that people write them (by Babel), each to be read as ISO 8601.

    The parts share no day: one for the test is not seen in training in any language.
    """

    source: Literal["dates"] = Field(default="dates", description="Where the samples come from.")
    languages: tuple[str, ...] = Field(
        default=(
            "en_US", "en_GB", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "tr", "ru", "ko", "ja", "zh",
        ),
        min_length=1,
        description="CLDR's names of the languages.",
    )  # fmt: skip
    # CLDR's "short" is left out: 3/4/05 is one day in the US and another in Britain.
    styles: tuple[Literal["medium", "long", "full"], ...] = Field(
        default=("medium", "long", "full"), min_length=1, description="CLDR's names of how much is written out."
    )
    first_year: int = Field(default=1900, ge=1000, le=9999, description="The first year.")
    last_year: int = Field(default=2099, ge=1000, le=9999, description="The last year, included.")
    train_samples: int = Field(default=20_000, ge=1, description="Pairs for training.")
    val_samples: int = Field(default=400, ge=1, description="Pairs for validation.")
    test_samples: int = Field(default=2000, ge=1, description="Pairs for the test.")
    val_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of the days for validation.")
    test_fraction: float = Field(default=0.1, gt=0, lt=1, description="Share of the days for the test.")
    seed: int = Field(default=0, ge=0, description="Seed of which days are held out, and of what is drawn.")

    @model_validator(mode="after")
    def _makes_sense(self) -> DatesData:
        if self.last_year < self.first_year:
            raise ValueError(
                f"data.last_year ({self.last_year}) must not be before data.first_year ({self.first_year})"
            )
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.val_fraction + data.test_fraction ({self.val_fraction} + {self.test_fraction}) must be below 1"
            )
        return self

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens."""
        return LONGEST

    def open_splits(self, cache: Path) -> Splits:
        """The three parts, made anew each time: the same settings, the same pairs. Raises SettingError."""
        del cache
        from fusegpt.data.dates.made import open_splits

        return open_splits(self)
