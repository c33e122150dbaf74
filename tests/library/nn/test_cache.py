"""Attention with a cache: the same as without, however the tokens are dealt out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.nn.attention import SelfAttention
from fusegpt.nn.cache import KeyValues


@settings(max_examples=25)
@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=5), kernel=st.sampled_from(["sdpa", "math"]))
def test_tokens_in_any_steps_are_attended_as_all_at_once(steps: list[int], kernel: str) -> None:
    attention = SelfAttention(16, 4, causal=True, kernel=kernel).eval()  # type: ignore[arg-type]
    x = torch.randn(2, sum(steps), 16)
    cache = KeyValues(sum(steps))
    with torch.no_grad():
        pieces = [attention(piece, cache) for piece in x.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), attention(x), atol=1e-6, rtol=1e-5)
    assert cache.length == sum(steps)


def test_a_full_cache_refuses_one_token_more() -> None:
    cache = KeyValues(3)
    cache.append(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4))
    with pytest.raises(ValueError, match=r"3 \+ 1 tokens do not fit a context of 3"):
        cache.append(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
