"""A held-out text as the model reads it: each character on the colour of its surprise, and what the model writes."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray

from fusegpt.figures.style import INK, MUTED, Sheet
from fusegpt.models.sequence.config import Sampling
from fusegpt.tasks.language.model import LanguageModel
from fusegpt.tasks.task import Split

COLUMNS, CELL_PX, LINE_PX, EDGE_PX = 96, 9.2, 22, 32
WINDOWS = 6
MOST_BITS = 8.0

Marked = list[tuple[str, float]]  # a piece of text, and the bits that it took


def draw_surprise(model: LanguageModel, split: Split, sampling: Sampling, file: Path) -> Path:
    """Windows in a row from the middle of `split`, then the model's own text after the first of them."""
    middle = max(0, len(split) // 2 - WINDOWS // 2)
    chosen = np.arange(middle, min(middle + WINDOWS, len(split)))
    marked = _marked(model, split, chosen)
    first = model.tokenizer.decode(split.batch(chosen[:1])["tokens"][0].numpy())
    own = [(character, -1.0) for character in model.go_on([first], sampling)[0]]
    rows = [_lines(marked), _lines(own)]
    bits = sum(b for _, b in marked) / max(1, sum(len(piece.encode()) for piece, _ in marked))
    titles = (f"Held-out text: {bits:.2f} bits per byte (white 0, dark {MOST_BITS:g} bits a token)",
              f"The model's own text after the first {len(first)} characters above")  # fmt: skip
    sheet = Sheet(round(2 * EDGE_PX + COLUMNS * CELL_PX), 2 * EDGE_PX + LINE_PX * (len(rows[0]) + len(rows[1]) + 4))
    top = float(EDGE_PX)
    for title, lines in zip(titles, rows, strict=True):
        sheet.text(EDGE_PX, top, title, color=MUTED)
        _write(sheet, lines, top + LINE_PX)
        top += LINE_PX * (len(lines) + 2)
    return sheet.save(file)


def _marked(model: LanguageModel, split: Split, chosen: NDArray[np.int64]) -> Marked:
    """Every target token of the chosen windows as text, with its bits."""
    batch = split.batch(chosen)
    device = next(model.parameters()).device
    with torch.inference_mode():
        bits = model(batch["tokens"].to(device), batch["targets"].to(device)).cpu() / math.log(2)  # (B, T)
    return [
        (model.tokenizer.decode(np.array([token])), float(cost))
        for token, cost in zip(batch["targets"].flatten().tolist(), bits.flatten(), strict=True)
    ]


def _lines(marked: Marked) -> list[Marked]:
    """Characters in lines of at most COLUMNS; the end of a line is drawn as one more character."""
    lines: list[Marked] = [[]]
    for piece, bits in marked:
        for character in piece:
            lines[-1].append((_shown(character), bits))
            if character == "\n" or len(lines[-1]) >= COLUMNS:
                lines.append([])
    return [line for line in lines if line]


def _shown(character: str) -> str:
    """The character, or a stand-in where it has no form of its own or the font may not have it."""
    if character == "\n":
        return "↵"
    return character if character.isprintable() and ord(character) < 0x370 else "·"


def _write(sheet: Sheet, lines: list[Marked], top: float) -> None:
    """Characters on a grid; one that was not judged (bits below 0) has no colour."""
    shades = matplotlib.colormaps["YlOrRd"]
    for row, line in enumerate(lines):
        for column, (character, bits) in enumerate(line):
            box = {"facecolor": shades(min(bits / MOST_BITS, 1.0) * 0.75), "edgecolor": "none", "pad": 1.2}
            sheet.text(
                EDGE_PX + column * CELL_PX, top + row * LINE_PX, character, size=8.5, color=INK, family="monospace",
                **({"bbox": box} if bits >= 0 else {}),
            )  # fmt: skip
