"""Text pairs: tokens, dates made by code, and files of pairs, also broken ones."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.config import SettingError
from fusegpt.data.dates import DatesData
from fusegpt.data.dates.config import LONGEST
from fusegpt.data.dates.made import held_out_days, written
from fusegpt.data.parallel_text import ParallelTextData
from fusegpt.data.parallel_text.pairs import PairSplit
from fusegpt.data.parallel_text.reader import read
from fusegpt.data.parallel_text.tokens import (
    END,
    PADDING,
    padded,
    source_tokens,
    target_tokens,
    text_of,
    tokens_of,
)
from fusegpt.data.sample import DataError

SMALL = DatesData(train_samples=40, val_samples=20, test_samples=20)
DAYS = st.dates(datetime.date(SMALL.first_year, 1, 1), datetime.date(SMALL.last_year, 12, 31))


@given(st.text(max_size=40))
def test_text_becomes_tokens_and_text_again(text: str) -> None:
    assert text_of(tokens_of(text)) == text
    assert text_of([*target_tokens(text).tolist(), 70, 71]) == text


def test_padding_begins_where_a_row_ends() -> None:
    rows = padded([source_tokens("a"), source_tokens("bcd")])
    assert rows.tolist()[0][1:] == [END, PADDING, PADDING]


def test_half_a_character_is_shown_as_a_replacement() -> None:
    assert text_of(tokens_of("é")[:1]) == "\ufffd"


def test_the_same_settings_make_the_same_pairs_and_another_seed_others(tmp_path: Path) -> None:
    first, again = SMALL.open_splits(tmp_path), SMALL.open_splits(tmp_path)
    other = SMALL.model_copy(update={"seed": 1}).open_splits(tmp_path)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_no_day_is_in_two_parts_and_every_day_is_in_one() -> None:
    parts = held_out_days(SMALL)
    days = np.concatenate(list(parts.values()))
    assert len(np.unique(days)) == len(days)
    assert len(days) == (datetime.date(2099, 12, 31) - datetime.date(1900, 1, 1)).days + 1


def test_the_days_of_the_test_are_not_in_training(tmp_path: Path) -> None:
    splits = DatesData(train_samples=2000, val_samples=200, test_samples=200).open_splits(tmp_path)
    assert isinstance(splits.train, PairSplit)
    assert isinstance(splits.test, PairSplit)
    assert not {pair.target for pair in splits.train.pairs} & {pair.target for pair in splits.test.pairs}


@settings(max_examples=40)
@given(a=DAYS, b=DAYS)
def test_a_text_stands_for_one_day_only_in_all_languages_and_styles(a: datetime.date, b: datetime.date) -> None:
    # The day and month swapped, and the century dropped, are where dates are mistaken for each other.
    swapped = [a.replace(day=a.month, month=a.day)] if a.day <= 12 else []
    texts = [all_texts(day) for day in {a, b, *swapped}]
    assert sum(map(len, texts)) == len(set().union(*texts))


def all_texts(day: datetime.date) -> set[str]:
    return {written(day, Locale.parse(name), style) for name in SMALL.languages for style in SMALL.styles}


@settings(max_examples=40)
@given(day=DAYS)
def test_no_date_is_longer_than_the_longest(day: datetime.date) -> None:
    assert max(len(source_tokens(text)) for text in all_texts(day)) <= LONGEST


def test_dates_are_those_of_cldr() -> None:
    day = datetime.date(2005, 4, 3)
    assert written(day, Locale.parse("de"), "long") == "3. April 2005"
    assert written(day, Locale.parse("ko"), "full") == "2005년 4월 3일 일요일"
    assert written(day, Locale.parse("ja"), "long") == "2005年4月3日"


def test_a_language_that_cldr_does_not_know_is_refused_by_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data\.languages: CLDR knows no 'qq'"):
        SMALL.model_copy(update={"languages": ("qq",)}).open_splits(tmp_path)


def pairs_file(folder: Path, content: bytes | str) -> Path:
    file = folder / "pairs.tsv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_a_file_of_pairs_is_split_by_its_sources(tmp_path: Path) -> None:
    lines = [f"source {i % 60}\ttarget {i}" for i in range(120)]
    data = ParallelTextData(path=str(pairs_file(tmp_path, "\n".join(lines) + "\n")))
    splits = data.open_splits(tmp_path)
    parts = [splits.train, splits.val, splits.test]
    assert sum(map(len, parts)) == 120
    sources = [{pair.source for pair in part.pairs} for part in parts if isinstance(part, PairSplit)]
    assert len(sources[0] | sources[1] | sources[2]) == 60 == sum(map(len, sources))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("no tab", r":2: has 0 tabs; one is right"),
        ("a\tb\tc", r":2: has 2 tabs"),
        ("a\t ", r":2: has an empty text on one side"),
        ("a\t" + "b" * 300, r":2: has 302 tokens, more than data\.max_tokens \(256\)"),
    ],
)
def test_a_broken_line_is_refused_by_its_number_or_left_out(tmp_path: Path, line: str, wrong: str) -> None:
    file = pairs_file(tmp_path, f"good\tgut\r\n{line}\nbad\tschlecht\n")
    with pytest.raises(DataError, match=wrong):
        read(ParallelTextData(path=str(file)))
    pairs, problems = read(ParallelTextData(path=str(file), on_problem="skip"))
    assert [(pair.source, pair.target) for pair in pairs] == [("good", "gut"), ("bad", "schlecht")]
    assert [problem.file for problem in problems] == [f"{file}:2"]


@pytest.mark.parametrize(
    ("content", "wrong"), [(b"a\t\xff\n", "is not UTF-8 at byte 2"), (b"\n\n", "holds no pair of texts")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, wrong: str) -> None:
    file = pairs_file(tmp_path, content)
    with pytest.raises(DataError, match=rf"pairs\.tsv: {wrong}"):
        ParallelTextData(path=str(file)).open_splits(tmp_path)


def test_a_missing_file_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv: cannot be read .*data\.path"):
        ParallelTextData(path=str(tmp_path / "none.tsv")).open_splits(tmp_path)
