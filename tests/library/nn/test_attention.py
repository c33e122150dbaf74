"""Self-attention: the fused kernel against the softmax written out, causality, dropout, and its maps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.nn.attention import SelfAttention, recorded_attention


def _pair(n_embd: int, n_head: int, causal: bool) -> tuple[SelfAttention, SelfAttention]:
    fused = SelfAttention(n_embd, n_head, causal=causal)
    written_out = SelfAttention(n_embd, n_head, causal=causal, kernel="math")
    written_out.load_state_dict(fused.state_dict())
    return fused, written_out


@settings(max_examples=25)
@given(
    n_head=st.sampled_from([1, 2, 3, 8]),
    head_size=st.sampled_from([1, 4, 18]),
    tokens=st.integers(1, 33),
    causal=st.booleans(),
)
def test_the_fused_kernel_is_the_written_out_softmax(n_head: int, head_size: int, tokens: int, causal: bool) -> None:
    fused, written_out = _pair(n_head * head_size, n_head, causal)
    x = torch.randn(2, tokens, n_head * head_size)
    torch.testing.assert_close(fused(x), written_out(x), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_both_kernels_have_the_same_gradients(causal: bool) -> None:
    fused, written_out = _pair(24, 4, causal)
    x = torch.randn(2, 9, 24)
    for attention in (fused, written_out):
        attention(x).square().sum().backward()
    for ours, theirs in zip(fused.parameters(), written_out.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)  # the largest are about 10


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_a_causal_token_does_not_see_what_comes_after_it(kernel: str) -> None:
    attention = SelfAttention(16, 2, causal=True, kernel=kernel)
    x = torch.randn(1, 8, 16)
    changed = x.clone()
    changed[:, 5:] = torch.randn(1, 3, 16)
    torch.testing.assert_close(attention(x)[:, :5], attention(changed)[:, :5])
    assert not torch.allclose(attention(x)[:, 5:], attention(changed)[:, 5:])


def test_without_causality_every_token_sees_every_other() -> None:
    x = torch.randn(1, 6, 16, requires_grad=True)
    SelfAttention(16, 2)(x)[:, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(-1) > 0).all()


def test_the_map_of_each_head_is_a_distribution_over_tokens() -> None:
    maps = SelfAttention(16, 4).weights(torch.randn(3, 7, 16))
    assert maps.shape == (3, 4, 7, 7)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 4, 7))


def test_a_causal_map_is_zero_above_the_diagonal() -> None:
    maps = SelfAttention(16, 4, causal=True).weights(torch.randn(1, 7, 16))
    assert maps.triu(1).abs().max() == 0


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_attention_dropout_acts_in_training_alone(kernel: str) -> None:
    attention = SelfAttention(16, 2, attn_pdrop=0.5, kernel=kernel)
    x = torch.randn(2, 12, 16)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n_embd \(10\) must be a multiple of n_head \(4\)"):
        SelfAttention(10, 4)


def test_recording_ends_with_its_block() -> None:
    attention = SelfAttention(16, 2).eval()
    x = torch.randn(1, 5, 16)
    with recorded_attention(attention) as maps:
        attention(x)
        attention(x)
    attention(x)
    assert [tuple(one.shape) for one in maps] == [(1, 2, 5, 5)] * 2
