"""`fusegpt data show` of what is not driving: text by its tokens, pictures in a grid, pairs of texts in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from fusegpt.config import Config, SettingError
from service.cli import show as show_json

if TYPE_CHECKING:
    from fusegpt.data.text.config import TextData
    from fusegpt.data.text.tokenizer import Tokenizer
    from fusegpt.data.text.windows import Windows
    from fusegpt.tasks.task import Split, Splits

PARTS = ("train", "val", "test")
PICTURES, PAIRS, WINDOWS = 24, 12, 4  # samples of each sort that suit a look
SHADES = ("bright_cyan", "bright_yellow", "bright_green", "bright_magenta")  # a terminal of 16 colours has them too
BETWEEN = "│"  # tokens where there are no colours


@dataclass(frozen=True)
class Asked:
    """Which samples: a part, the number of the first, how many (0 takes as many as suit), and where a picture goes."""

    part: str = ""
    at: int = 0
    samples: int = 0
    to: Path | None = None

    @property
    def picture(self) -> Path:
        return self.to or Path("sample.png")

    def none_of_driving(self) -> None:
        """Raises SettingError where something of this was asked of driving."""
        for name, value in (("part", self.part), ("at", self.at), ("samples", self.samples)):
            if value:
                raise SettingError(f"--{name}: driving is shown one sample at a time, by --drive and --frame")

    def rows(self, splits: Splits, usual: int) -> tuple[Split, range]:
        """The part and the numbers of its samples. Raises SettingError naming the option."""
        if self.part not in ("", *PARTS):
            raise SettingError(f"--part: there is no {self.part!r}; there are {', '.join(PARTS)}")
        part = self.part or PARTS[0]
        split: Split = getattr(splits, part)
        if not 0 <= self.at < len(split):
            has = f"samples 0 to {len(split) - 1}" if len(split) else "no samples"
            raise SettingError(f"--at: {part} has {has}, not {self.at}")
        return split, range(self.at, min(self.at + (self.samples or usual), len(split)))

    def where(self, rows: range) -> dict[str, Any]:
        return {"part": self.part or PARTS[0], "first": rows.start, "samples": len(rows)}


def show(data: Config, cache: Path, asked: Asked, *, json: bool) -> None:
    """Show some samples of a source that is no driving. Raises SettingError or DataError, naming option or file."""
    from fusegpt.data.dates.config import DatesData
    from fusegpt.data.digits.config import DigitsData
    from fusegpt.data.parallel_text.config import ParallelTextData
    from fusegpt.data.shapes.config import ShapesData
    from fusegpt.data.text.config import TextData

    if isinstance(data, DigitsData):
        return _digits(data.open_splits(cache), asked, json=json)
    if isinstance(data, ShapesData):
        return _shapes(data.open_splits(cache), asked, json=json)
    if asked.to:
        raise SettingError(f"--to: text is no picture; leave it out, and write > {asked.to} for a file")
    if isinstance(data, TextData):
        return _text(data, cache, asked, json=json)
    assert isinstance(data, DatesData | ParallelTextData), "every source is shown"
    return _pairs(data.open_splits(cache), asked, json=json)


def _text(data: TextData, cache: Path, asked: Asked, *, json: bool) -> None:
    """Tokens on changing colours; without colours with lines between them."""
    from fusegpt.data.text.windows import Windows, open_text

    text = open_text(data, cache)
    split, rows = asked.rows(text.splits, WINDOWS)
    assert isinstance(split, Windows)
    tokens = _tokens(split, rows)
    pieces = [text.tokenizer.decode(np.array([token])) for token in tokens]
    if json:
        told = [{"token": token, "text": piece} for token, piece in zip(tokens, pieces, strict=True)]
        return show_json({**asked.where(rows), "tokens": told})
    typer.echo(_heading(asked.where(rows), len(split), f"{len(tokens)} tokens, {_per_token(tokens, text.tokenizer)}"))
    console = Console()
    coloured = console.is_terminal and not console.no_color
    console.print(_coloured(pieces) if coloured else Text(BETWEEN.join(pieces)), soft_wrap=not coloured)
    return None


def _tokens(split: Windows, rows: range) -> list[int]:
    """The tokens of windows in a row, one after the other."""
    windows = split.batch(np.array(rows, np.int64))["tokens"]
    return [int(token) for token in windows.flatten()]


def _per_token(tokens: Sequence[int], tokenizer: Tokenizer) -> str:
    return f"{tokenizer.byte_counts()[list(tokens)].mean():.2f} bytes a token, of a vocabulary of {tokenizer.size}"


def _coloured(pieces: Sequence[str]) -> Text:
    text = Text()
    for number, piece in enumerate(pieces):
        style = f"black on {SHADES[number % len(SHADES)]}"
        for character in piece:
            text.append("↵" if character == "\n" else character, style=style)
            if character == "\n":
                text.append("\n")
    return text


def _pairs(splits: Splits, asked: Asked, *, json: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from fusegpt.data.parallel_text.pairs import PairSplit

    split, rows = asked.rows(splits, PAIRS)
    assert isinstance(split, PairSplit)
    pairs = split.pairs[rows.start : rows.stop]
    if json:
        told = [{"source": pair.source, "target": pair.target, "group": pair.group} for pair in pairs]
        return show_json({**asked.where(rows), "pairs": told})
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("sample", justify="right")
    for heading in ("group", "source", "target"):
        table.add_column(heading, overflow="fold")
    for row, pair in zip(rows, pairs, strict=True):
        table.add_row(str(row), Text(pair.group), Text(pair.source), Text(pair.target))
    typer.echo(_heading(asked.where(rows), len(split)))
    Console().print(table)
    return None


def _digits(splits: Splits, asked: Asked, *, json: bool) -> None:
    from fusegpt.data.digits.source import DigitSplit

    split, rows = asked.rows(splits, PICTURES)
    assert isinstance(split, DigitSplit)
    labels = [str(label) for label in split.labels[rows.start : rows.stop]]
    _grid(asked, split.images[rows.start : rows.stop], labels, len(split), rows, json=json)


def _shapes(splits: Splits, asked: Asked, *, json: bool) -> None:
    from fusegpt.data.shapes.source import ShapeSplit

    split, rows = asked.rows(splits, PICTURES)
    assert isinstance(split, ShapeSplit)
    captions = [str(scene) for scene in split.scenes[rows.start : rows.stop]]
    _grid(asked, split.images[rows.start : rows.stop], captions, len(split), rows, json=json)


def _grid(asked: Asked, images: NDArray[np.uint8], captions: list[str], of: int, rows: range, *, json: bool) -> None:
    from fusegpt.figures.grid import draw_captioned

    where = asked.where(rows)
    draw_captioned(images, captions, _heading(where, of), asked.picture)
    if json:
        return show_json({**where, "captions": captions, "picture": str(asked.picture)})
    typer.echo(f"{asked.picture}: {_heading(where, of)}")
    return None


def _heading(where: dict[str, Any], of: int, more: str = "") -> str:
    first, count = where["first"], where["samples"]
    which = f"samples {first} to {first + count - 1}" if count > 1 else f"sample {first}"
    return f"{where['part']}, {which} of {of:,}" + (f": {more}" if more else "")
