"""`fusegpt data show`: what is shown are the samples that training reads, whatever they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import experiments
from fusegpt.config import SettingError
from fusegpt.data import DataConfig
from fusegpt.data.driving import DrivingData
from service.cli import app

FEW = ("data.train_samples=30", "data.val_samples=5", "data.test_samples=5")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def invoked(*words: str, assignments: tuple[str, ...] = ()) -> Result:
    options = [part for assignment in assignments for part in ("--set", assignment)]
    return CliRunner().invoke(app, ["data", "show", *words, *options])


def told(*words: str, assignments: tuple[str, ...] = ()) -> Any:
    result = invoked(*words, "--json", assignments=assignments)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def pairs_file(folder: Path) -> tuple[str, ...]:
    (folder / "pairs.tsv").write_text("".join(f"text {n}\tText {n}\n" for n in range(40)), encoding="utf-8")
    return (
        "data.source=parallel_text", f"data.path={folder}/pairs.tsv", "data.max_tokens=64", "model.block_size=96"
    )  # fmt: skip


def test_text_is_told_by_its_tokens_and_they_are_the_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("one line of a book\n" * 400, encoding="utf-8")
    book = (f"data.path={tmp_path}/book.txt", "data.vocab_size=300", "data.block_size=32", "data.gap_chars=10")
    shown = told("language_model", "--samples", "2", assignments=book)
    assert (shown["part"], shown["first"], shown["samples"]) == ("train", 0, 2)
    assert len(shown["tokens"]) == 64
    text = "".join(token["text"] for token in shown["tokens"])
    assert ("one line of a book\n" * 400).startswith(text)


def test_text_without_colours_has_lines_between_its_tokens() -> None:
    lines = invoked("sequence_models", "--samples", "1").stdout
    assert "64 tokens, 1.00 bytes a token, of a vocabulary of 256" in lines
    assert "T│h│e" in lines


def test_text_in_a_terminal_has_neighbouring_tokens_on_two_colours() -> None:
    from service.commands.samples import _coloured

    text = _coloured(["The", " end\n"])
    assert text.plain == "The end↵\n"
    assert [str(span.style) for span in text.spans[2:4]] == ["black on bright_cyan", "black on bright_yellow"]


def test_digits_are_drawn_over_their_labels_and_told(tmp_path: Path) -> None:
    shown = told("row_classifier", "--part", "test", "--at", "3", "--samples", "9", "--to", "digits.png")
    digits = experiments.load("row_classifier").data.open_splits(tmp_path).test
    assert shown["captions"] == [str(int(label)) for label in digits.batch(np.arange(3, 12))["label"]]
    assert shown["picture"] == "digits.png"
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.width > 1000


def test_captioned_shapes_are_drawn_with_their_captions(tmp_path: Path) -> None:
    shown = told("text_to_image", "--samples", "8", assignments=FEW)
    assert len(shown["captions"]) == 8
    assert all(caption.startswith("a ") for caption in shown["captions"])
    with Image.open(tmp_path / "sample.png") as opened:
        picture = np.asarray(opened.convert("RGB"))
    assert (np.ptp(picture.astype(int), axis=2) > 100).any(), "the shapes have colours"


def test_dates_come_as_a_table_with_their_language() -> None:
    shown = told("translation", "--part", "val", assignments=FEW)
    assert shown["samples"] == 5, "there are no more than the part has"
    first = shown["pairs"][0]
    lines = invoked("translation", "--part", "val", assignments=FEW).stdout.splitlines()
    assert lines[0] == "val, samples 0 to 4 of 5"
    assert any(first["group"] in line and first["target"] in line for line in lines)


def test_pairs_of_a_file_come_as_a_table(tmp_path: Path) -> None:
    shown = told("translation", "--samples", "3", assignments=pairs_file(tmp_path))
    assert [pair["target"] for pair in shown["pairs"]] == [f"T{pair['source'][1:]}" for pair in shown["pairs"]]


def test_no_file_of_pairs_is_no_question_of_recorded_driving() -> None:
    error = invoked("translation", assignments=("data.source=parallel_text",)).exception
    assert "data.path" in str(error)
    assert "data.root" not in str(error)


def test_text_with_brackets_is_no_markup(tmp_path: Path) -> None:
    settings = pairs_file(tmp_path)
    (tmp_path / "pairs.tsv").write_text("[red]hot[/red]\t[bold]heiß\n" * 3 + "a\tb\n" * 30, encoding="utf-8")
    shown = [invoked("translation", "--part", part, assignments=settings).stdout for part in ("train", "val", "test")]
    assert sum("[red]hot[/red]" in text and "[bold]heiß" in text for text in shown) == 1


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("row_classifier", "--drive", "0001"), "--drive: digits has no drives; choose by --part and --at"),
        (("language_model", "--frame", "3"), "--frame: text has no drives"),
        (("row_classifier", "--part", "valid"), "--part: there is no 'valid'; there are train, val, test"),
        (("row_classifier", "--at", "5000"), "--at: train has samples 0 to 1256, not 5000"),
        (("row_classifier", "--at", "-1"), "--at: train has samples 0 to 1256, not -1"),
        (("sequence_models", "--to", "text.png"), "--to: text is no picture; leave it out"),
        (("fusion_waypoints", "--part", "val"), "--part: driving is shown one sample at a time"),
        (("fusion_waypoints", "--at", "2"), "--at: driving is shown one sample at a time"),
    ],
)
def test_an_option_that_does_not_suit_the_data_is_refused_by_its_name(words: tuple[str, ...], wrong: str) -> None:
    error = invoked(*words).exception
    assert isinstance(error, SettingError)
    assert wrong in str(error)


def test_driving_is_drawn_as_before(tmp_path: Path) -> None:
    world = ("data.n_drives=4", "data.seconds_per_drive=6.0", "data.lidar_azimuths=120")
    shown = told("fusion_waypoints", "--drive", "0001", "--to", str(tmp_path / "world.png"), assignments=world)
    assert (shown["drive"], (tmp_path / "world.png").exists()) == ("world-0001", True)


def test_every_source_is_driving_or_has_its_own_way_to_be_shown() -> None:
    union, *_ = get_args(DataConfig)
    others = {source.__name__ for source in get_args(union) if not issubclass(source, DrivingData)}
    assert others == {"TextData", "DatesData", "ParallelTextData", "DigitsData", "ShapesData"}
