"""`Table`: what a demonstration measured, kept as values and printed as Markdown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Value = str | bool | int | float


@dataclass(frozen=True)
class Table:
    """Rows of values under the columns' names; the first column says what a row is about."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def markdown(self) -> str:
        marks = ["---", *("---:" for _ in self.columns[1:])]
        lines = [self.columns, marks, *([_written(value) for value in row] for row in self.rows)]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def column(self, name: str) -> dict[str, Value]:
        """The values of one column, by the first of each row."""
        at = self.columns.index(name)
        return {str(row[0]): row[at] for row in self.rows}

    def numbers(self, name: str) -> list[float]:
        """The values of a column of numbers, from top to bottom."""
        return [float(value) for value in self.column(name).values()]


def milliseconds(run: Callable[[], object], repeats: int = 21) -> float:
    """The median time of `run`, after one run that does not count."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
