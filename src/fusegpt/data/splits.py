"""Which samples are for training, validation and testing: whole drives, or blocks of time with a gap."""

from __future__ import annotations

from pydantic import Field

from fusegpt.config import Config


class Splits(Config):
    """Neighbouring frames are near-duplicates, so samples are never split at random."""

    val_drives: tuple[str, ...] = Field(default=(), description="Drives held out for validation, by name or its part.")
    test_drives: tuple[str, ...] = Field(default=(), description="Drives held out for the test, by name or its part.")
    val_fraction: float = Field(default=0.15, ge=0, lt=1, description="Share for validation where no drive is named.")
    test_fraction: float = Field(default=0.15, ge=0, lt=1, description="Share for the test where no drive is named.")
    gap_s: float = Field(default=2.0, ge=0, description="Seconds left out between two blocks of one drive.")
