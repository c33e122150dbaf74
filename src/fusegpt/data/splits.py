"""Which samples are for training, validation and testing: whole drives, or blocks of time with a gap."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fusegpt.config import Config, SettingError, closest

TRAIN, VAL, TEST, NONE = 0, 1, 2, -1
PARTS = {"train": TRAIN, "val": VAL, "test": TEST}
ENOUGH_DRIVES = 7

Times = NDArray[np.float64]
Codes = NDArray[np.int8]


class Splits(Config):
    """Neighbouring frames are near-duplicates, so samples are never split at random."""

    val_drives: tuple[str, ...] = Field(default=(), description="Drives held out for validation, by name or its part.")
    test_drives: tuple[str, ...] = Field(default=(), description="Drives held out for the test, by name or its part.")
    val_fraction: float = Field(default=0.15, ge=0, lt=1, description="Share for validation where no drive is named.")
    test_fraction: float = Field(default=0.15, ge=0, lt=1, description="Share for the test where no drive is named.")
    gap_s: float = Field(default=2.0, ge=0, description="Seconds left out between two blocks of one drive.")

    @model_validator(mode="after")
    def _leaves_training(self) -> Splits:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"val_fraction + test_fraction ({self.val_fraction} + {self.test_fraction}) must stay below 1"
            )
        return self


def assign(times: Mapping[str, Times], splits: Splits) -> dict[str, Codes]:
    """The part of every sample: drive -> (N,) times in seconds -> (N,) of TRAIN, VAL, TEST or NONE.

    A part with named drives takes those and no others. A part without takes its fraction of the drives that nobody
    named: whole drives where there are at least seven of them, chosen by a hash of their names (so that a new drive
    moves few others); else a block of time at the end of each drive, `gap_s` away from the next block.
    Raises SettingError naming `data.splits.val_drives` or `data.splits.test_drives`.
    """
    names = sorted(times)
    val = matching(names, splits.val_drives, "data.splits.val_drives")
    test = matching(names, splits.test_drives, "data.splits.test_drives")
    if shared := sorted(set(val) & set(test)):
        raise SettingError(f"data.splits.test_drives: {', '.join(shared)} is in data.splits.val_drives already")
    free = [name for name in names if name not in val and name not in test]
    val_fraction = 0.0 if val else splits.val_fraction
    test_fraction = 0.0 if test else splits.test_fraction
    if len(free) >= ENOUGH_DRIVES:
        chosen_val, chosen_test = _whole_drives(free, val_fraction, test_fraction)
        val, test = [*val, *chosen_val], [*test, *chosen_test]
        val_fraction = test_fraction = 0.0
    parts: dict[str, Codes] = {}
    for name in names:
        whole = VAL if name in val else TEST if name in test else None
        if whole is None:
            parts[name] = _blocks(times[name], val_fraction, test_fraction, splits.gap_s)
        else:
            parts[name] = np.full(len(times[name]), whole, np.int8)
    return parts


def matching(names: Sequence[str], written: Iterable[str], key: str) -> list[str]:
    """The drives that people mean: each by its whole name, or all that have a part ("Town05"). Raises SettingError."""
    return sorted({name for word in written for name in _match(names, word, key)})


def _match(names: Sequence[str], word: str, key: str) -> list[str]:
    found = [word] if word in names else [name for name in names if word in name]
    if not found:
        raise SettingError(f"{key}: {word!r} is no drive{closest(word, names)}; there are {_some(names)}")
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def _whole_drives(free: Sequence[str], val_fraction: float, test_fraction: float) -> tuple[list[str], list[str]]:
    shuffled = sorted(free, key=lambda name: hashlib.sha256(name.encode()).digest())
    n_val, n_test = (max(1, round(share * len(free))) if share else 0 for share in (val_fraction, test_fraction))
    n_val = min(n_val, len(free) - 1)
    n_test = min(n_test, len(free) - n_val - 1)
    return shuffled[:n_val], shuffled[n_val : n_val + n_test]


def _blocks(times: Times, val_fraction: float, test_fraction: float, gap_s: float) -> Codes:
    """(N,) -> (N,): training first, then validation, then the test, each at least `gap_s` from the next."""
    codes = np.full(len(times), NONE, np.int8)
    if not len(times):
        return codes
    end, seconds = float(times.max()), float(np.ptp(times))
    for part, share in ((TEST, test_fraction), (VAL, val_fraction)):
        if not share:
            continue
        inside = (times >= end - share * seconds) & (times <= end) & (codes == NONE)
        codes[inside] = part
        if inside.any():
            end = float(times[inside].min()) - gap_s
    codes[(times <= end) & (codes == NONE)] = TRAIN
    return codes
