"""Cross-attention: the fused kernel against the softmax written out, padding, and positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.nn.cross_attention import CrossAttention, padded_attention_weights
from fusegpt.nn.positions import Positions, resized_grid, sinusoidal


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), n_head=st.sampled_from([1, 2, 4]))
def test_the_fused_kernel_equals_the_softmax_written_out(lengths: list[int], n_head: int) -> None:
    torch.manual_seed(0)
    fused = CrossAttention(8, n_head, kernel="sdpa")
    written = CrossAttention(8, n_head, kernel="math")
    written.load_state_dict(fused.state_dict())
    x, memory = torch.randn(len(lengths), 3, 8), torch.randn(len(lengths), 6, 8)
    hidden = torch.arange(6)[None] >= torch.tensor(lengths)[:, None]
    torch.testing.assert_close(fused(x, memory, hidden), written(x, memory, hidden), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_what_is_hidden_changes_nothing(kernel: str) -> None:
    attention = CrossAttention(8, 2, kernel=kernel)  # type: ignore[arg-type]
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    hidden = torch.tensor([[False, False, True, True, True], [False] * 4 + [True]])
    other = memory + 100 * hidden[..., None]
    torch.testing.assert_close(attention(x, memory, hidden), attention(x, other, hidden))
    assert not torch.allclose(attention(x, memory), attention(x, other))


def test_the_weights_of_a_row_sum_to_one_and_are_zero_where_hidden() -> None:
    hidden = torch.tensor([[False, True, False]])
    weights = padded_attention_weights(torch.randn(1, 2, 4, 8), torch.randn(1, 2, 3, 8), hidden)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4))
    assert (weights[..., 1] == 0).all()


def test_sines_are_those_of_the_paper() -> None:
    table = sinusoidal(50, 16)
    place, i = 7, 3
    rate = 10_000 ** (-2 * i / 16)
    torch.testing.assert_close(table[place, 2 * i], torch.tensor(place * rate).sin())
    torch.testing.assert_close(table[place, 2 * i + 1], torch.tensor(place * rate).cos())


def test_an_odd_width_has_positions_too() -> None:
    assert sinusoidal(4, 7).shape == (4, 7)


@pytest.mark.parametrize("name", ["sinusoidal", "learned"])
def test_positions_go_on_where_the_tokens_before_ended(name: str) -> None:
    positions = Positions(name, 8, 6)  # type: ignore[arg-type]
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(positions(x[:, 3:], start=3), positions(x)[:, 3:])


def test_a_token_beyond_the_last_place_is_refused_by_the_setting() -> None:
    with pytest.raises(ValueError, match=r"9 tokens do not fit a context of 8 \(model\.block_size\)"):
        Positions("learned", 8, 6)(torch.zeros(1, 2, 6), start=7)


def test_a_grid_of_the_same_size_stays_as_it_is_and_a_flat_one_stays_flat() -> None:
    grid = torch.randn(1, 12, 4)
    assert resized_grid(grid, (3, 4), (3, 4)) is grid
    flat = torch.full((1, 12, 4), 0.7)
    torch.testing.assert_close(resized_grid(flat, (3, 4), (6, 5)), torch.full((1, 30, 4), 0.7))
