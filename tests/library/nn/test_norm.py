"""Norms: their axes, what they let a token see, and where they are refused."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from fusegpt.models.encoder_decoder import EncoderDecoderConfig
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.nn.block import Block
from fusegpt.nn.config import ACROSS_TOKENS, NormName
from fusegpt.nn.norm import NORMS, groups, norm

B, T, C = 3, 5, 12
# Over which axes of (B, T, C) each norm takes its mean and variance; groupnorm's own reference is below.
AXES: dict[NormName, tuple[int, ...]] = {"layernorm": (2,), "instancenorm": (1,), "batchnorm": (0, 1)}
BY_TOKEN = [name for name in NORMS if name not in ACROSS_TOKENS]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(0)) * 3 + 1


def standardized(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    variance = x.var(axes, keepdim=True, unbiased=False)
    return (x - x.mean(axes, keepdim=True)) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("name", AXES)
def test_each_norm_standardizes_over_its_own_axes(name: NormName, x: torch.Tensor) -> None:
    torch.testing.assert_close(norm(name, C)(x), standardized(x, AXES[name]), atol=1e-5, rtol=1e-4)


def test_groupnorm_standardizes_groups_of_channels_within_a_token(x: torch.Tensor) -> None:
    grouped = x.view(B, T, groups(C), C // groups(C))
    torch.testing.assert_close(norm("groupnorm", C)(x), standardized(grouped, (3,)).view_as(x), atol=1e-5, rtol=1e-4)


def test_rmsnorm_divides_by_the_root_of_the_mean_square(x: torch.Tensor) -> None:
    torch.testing.assert_close(norm("rmsnorm", C)(x), x / x.square().mean(-1, keepdim=True).sqrt())


@pytest.mark.parametrize(("n_embd", "count"), [(64, 8), (12, 6), (7, 7), (13, 1), (1, 1)])
def test_the_groups_divide_the_channels(n_embd: int, count: int) -> None:
    assert groups(n_embd) == count


def test_every_name_has_a_norm_and_every_norm_a_name() -> None:
    assert set(get_args(NormName)) == set(NORMS)


@pytest.mark.parametrize("name", BY_TOKEN)
def test_a_norm_by_token_keeps_a_causal_block_causal(name: NormName, x: torch.Tensor) -> None:
    block = Block(C, 2, norm_name=name, causal=True)
    changed = x.clone()
    changed[:, 3:] += 5.0
    torch.testing.assert_close(block(changed)[:, :3], block(x)[:, :3])


@pytest.mark.parametrize("name", ACROSS_TOKENS)
def test_a_norm_across_tokens_would_leak_the_future(name: NormName, x: torch.Tensor) -> None:
    block = Block(C, 2, norm_name=name, causal=True)
    changed = x.clone()
    changed[:, 3:] += torch.randn(B, 2, C) * 5.0
    assert not torch.allclose(block(changed)[:, :3], block(x)[:, :3], atol=1e-2)


@pytest.mark.parametrize("name", ACROSS_TOKENS)
@pytest.mark.parametrize("config", [GPTConfig, EncoderDecoderConfig])
def test_a_model_that_would_leak_is_refused_by_the_name_of_the_setting(
    name: NormName, config: type[GPTConfig] | type[EncoderDecoderConfig]
) -> None:
    with pytest.raises(ValidationError, match=rf"model\.norm \({name}\).*layernorm, rmsnorm, groupnorm are right"):
        config(norm=name)


@pytest.mark.parametrize("name", NORMS)
def test_only_batchnorm_depends_on_the_other_samples_of_a_batch(name: NormName, x: torch.Tensor) -> None:
    layer = norm(name, C).train()
    alone, together = layer(x[:1]), layer(x)[:1]
    assert torch.allclose(alone, together, atol=1e-5) == (name != "batchnorm")


def test_batchnorm_in_evaluation_depends_on_no_other_sample(x: torch.Tensor) -> None:
    layer = norm("batchnorm", C)
    layer(x)
    layer.eval()
    torch.testing.assert_close(layer(x[:1]), layer(x)[:1])
