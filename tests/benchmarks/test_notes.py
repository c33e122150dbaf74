"""What docs/notes.md says is what the demonstrations measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks._notes import attention, layout, norms, past, positions, teacher_forcing
from benchmarks._notes.table import Table
from benchmarks.notes import DEMONSTRATIONS

PAGE = Path(__file__).parents[2] / "docs" / "notes.md"
ALL = [demonstration for several in DEMONSTRATIONS.values() for demonstration in several]
TIMED = (layout.one_product, layout.joins, teacher_forcing.passes)  # by the clock


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def on_the_page(table: Table) -> list[str]:
    """The rows of the table on the page that has the same columns."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    heads = [at for at, line in enumerate(lines) if cells(line) == list(table.columns)]
    assert len(heads) == 1, f"docs/notes.md has {len(heads)} tables with the columns {table.columns}"
    first = heads[0] + 2
    return lines[first : first + len(table.rows)]


@pytest.mark.parametrize("question", DEMONSTRATIONS)
def test_every_question_is_a_heading_of_the_page(question: str) -> None:
    assert f"## {question}" in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("demonstration", ALL, ids=lambda demonstration: demonstration.__name__)
def test_the_page_has_the_rows_that_the_command_prints(demonstration: Callable[[], Table]) -> None:
    table = demonstration()
    printed = table.markdown().splitlines()[2:]
    assert [cells(row)[0] for row in on_the_page(table)] == [cells(row)[0] for row in printed]


@pytest.mark.parametrize(
    "demonstration", [d for d in ALL if d not in TIMED], ids=lambda demonstration: demonstration.__name__
)
def test_the_figures_of_the_page_are_those_that_are_measured(demonstration: Callable[[], Table]) -> None:
    """To a quarter or 0.05: another processor rounds and so trains a little differently. Below 2e-4 is noise."""
    table = demonstration()
    for row, written in zip(table.rows, on_the_page(table), strict=True):
        for value, text in zip(row[1:], cells(written)[1:], strict=True):
            if isinstance(value, bool | str):
                assert text == ({True: "yes", False: "no"}[value] if isinstance(value, bool) else value)
            else:
                figure = float(text.replace(",", ""))
                assert figure == pytest.approx(value, rel=0.25, abs=2e-4 if value < 1e-3 else 0.05), row[0]


def test_only_the_permuted_split_is_attention_of_separate_heads_over_all_tokens() -> None:
    permuted, left, at_once = layout.splits().rows
    assert permuted[1:3] == (64, 64)
    assert float(permuted[3]) < 1e-6
    assert left[1] == layout.T, "heads of one token meet, and no two tokens do"
    assert isinstance(at_once[1], int)
    assert at_once[1] < 64


def test_reshape_copies_exactly_where_view_refuses() -> None:
    table = layout.joins()
    works, copied = table.column("works"), table.column("bytes copied")
    assert works["transposed `.view(B, T, C)`"] is False
    assert copied["transposed `.reshape(B, T, C)`"] == copied["transposed `.contiguous().view(B, T, C)`"] != 0
    assert copied["contiguous `.reshape(B, T, C)`"] == 0


def test_scores_divided_by_the_root_of_the_width_do_not_depend_on_it() -> None:
    table = attention.scale()
    largest = table.numbers("divided: largest weight")
    assert max(largest) < 1.1 * min(largest)
    undivided = table.numbers("largest weight")
    assert undivided == sorted(undivided)


def test_two_heads_tell_two_tokens_where_one_cannot() -> None:
    one, two, _ = attention.heads().numbers("error (share of the variance)")
    assert one > 0.2 > 0.001 > two


def test_a_token_looks_at_itself_only_where_query_and_key_are_the_same() -> None:
    same, untrained, copying = attention.own_weight().numbers("tokens that look most at themselves")
    assert same > 0.99
    assert untrained < 0.1
    assert copying == 0


def test_without_positions_the_order_of_the_others_does_not_matter() -> None:
    without, with_sines = next(iter(positions.order().rows))[1], positions.order().rows[1][1]
    assert float(without) < 1e-5 < 0.05 < float(with_sines)


def test_one_matrix_moves_sines_and_nothing_else_by_eight_places() -> None:
    sines, learnt, _ = positions.kinds().numbers("error of one move")
    assert sines < 1e-4 < 0.5 < learnt


def test_own_answers_lose_what_the_truth_would_have_kept() -> None:
    last = teacher_forcing.steps().rows[-1]
    assert float(last[1]) > 0.9
    assert float(last[2]) < float(last[1]) - 0.1


def test_only_batchnorm_takes_in_other_samples_and_not_in_evaluation() -> None:
    table = norms.reach()
    assert [name for name, other in table.column("other samples").items() if other] == ["`batchnorm`"]
    assert not any(table.column("samples, evaluation").values())


def test_the_past_fades_in_every_cell_but_one_with_open_gates_and_not_in_attention() -> None:
    left = past.fading().column("100 before")
    for cell in ("RNN", "LSTM", "GRU"):
        assert float(left[cell]) < 1e-15
    assert float(left["LSTM, forget gates open"]) > 0.1
    assert float(left["attention, causal"]) > 0.1


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    past.draw(tmp_path / "past.png")
    assert (tmp_path / "past.png").stat().st_size < 100_000
