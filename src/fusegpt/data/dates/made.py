"""Makes the pairs: a day as one language writes it, and as ISO 8601 does."""

from __future__ import annotations

import datetime

import numpy as np
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from numpy.typing import NDArray

from fusegpt.config import SettingError
from fusegpt.data.dates.config import DatesData
from fusegpt.data.parallel_text.pairs import Pair, PairSplit, fingerprint
from fusegpt.tasks.task import Splits

Days = NDArray[np.int64]  # proleptic Gregorian ordinals, as datetime.date has them


def open_splits(config: DatesData) -> Splits:
    """The three parts, no day in two of them. Raises SettingError naming `data.languages`."""
    locales = [_locale(name) for name in config.languages]
    samples = {"train": config.train_samples, "val": config.val_samples, "test": config.test_samples}
    parts = held_out_days(config)
    splits = {
        name: PairSplit(_pairs(parts[name], count, locales, config, np.random.default_rng([config.seed, number])))
        for number, (name, count) in enumerate(samples.items())
    }
    return Splits(**splits, fingerprint=fingerprint(*splits.values()))


def held_out_days(config: DatesData) -> dict[str, Days]:
    """The days of each part, every day of the years in exactly one."""
    first = datetime.date(config.first_year, 1, 1).toordinal()
    last = datetime.date(config.last_year, 12, 31).toordinal()
    days = np.random.default_rng(config.seed).permutation(np.arange(first, last + 1))
    n_val, n_test = (max(1, round(share * len(days))) for share in (config.val_fraction, config.test_fraction))
    return {"val": days[:n_val], "test": days[n_val : n_val + n_test], "train": days[n_val + n_test :]}


def written(day: datetime.date, locale: Locale, style: str) -> str:
    """The day as people of that language write it."""
    return format_date(day, style, locale=locale)


def _pairs(days: Days, count: int, locales: list[Locale], config: DatesData, rng: np.random.Generator) -> list[Pair]:
    drawn = zip(
        rng.choice(days, count),
        rng.integers(len(locales), size=count),
        rng.integers(len(config.styles), size=count),
        strict=True,
    )
    return [
        _pair(datetime.date.fromordinal(int(day)), locales[language], config.languages[language], config.styles[style])
        for day, language, style in drawn
    ]


def _pair(day: datetime.date, locale: Locale, language: str, style: str) -> Pair:
    return Pair(written(day, locale, style), day.isoformat(), language)


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name)
    except (UnknownLocaleError, ValueError):
        raise SettingError(f"data.languages: CLDR knows no {name!r}; write names such as de, en_GB or ko") from None
