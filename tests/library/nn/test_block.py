"""The transformer block: pre-norm, residual, its settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fusegpt.nn.block import Block
from fusegpt.nn.norm import NORMS


def test_a_block_that_adds_nothing_hands_its_input_on() -> None:
    block = Block(16, 2)
    for last in (block.attn.proj, block.mlp[2]):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    x = torch.randn(2, 5, 16)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", sorted(NORMS))
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_every_norm_and_activation_keeps_the_shape_and_learns(name: str, activation: str) -> None:
    block = Block(16, 2, norm_name=name, activation=activation)
    out = block(torch.randn(2, 5, 16))
    out.square().sum().backward()
    assert out.shape == (2, 5, 16)
    assert all(parameter.grad is not None for parameter in block.parameters())


def test_block_exp_widens_the_mlp_alone() -> None:
    narrow, wide = Block(16, 2, block_exp=1), Block(16, 2, block_exp=3)
    assert wide.mlp[0].out_features == 3 * narrow.mlp[0].out_features == 48
    assert wide.attn.qkv.weight.shape == narrow.attn.qkv.weight.shape


def test_residual_dropout_acts_in_training_alone() -> None:
    block = Block(16, 2, resid_pdrop=0.5)
    x = torch.randn(2, 5, 16)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
