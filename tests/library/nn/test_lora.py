"""LoRA: what it freezes, what it learns, merging and unmerging, and the file of adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fusegpt.nn.block import Block
from fusegpt.nn.lora import (
    LoraConfig,
    add_lora,
    load_adapters,
    lora_layers,
    merge_lora,
    save_adapters,
    unmerge_lora,
)

EVERYWHERE = (r"attn\.(qkv|proj)", r"mlp\.\d")


def _adapted(targets: tuple[str, ...] = EVERYWHERE, seed: int = 0) -> Block:
    """A block with adapters that say something."""
    torch.manual_seed(seed)
    block = Block(16, 2, causal=True)
    add_lora(block, LoraConfig(rank=3, targets=targets))
    for layer in lora_layers(block):
        nn.init.normal_(layer.lora_b, std=0.3)
    return block.eval()


def test_fresh_adapters_change_nothing() -> None:
    block, x = Block(16, 2), torch.randn(2, 5, 16)
    before = block(x)
    add_lora(block, LoraConfig(rank=4, targets=EVERYWHERE))
    assert torch.equal(block(x), before)


def test_only_the_targeted_layers_get_adapters_and_only_those_are_trained() -> None:
    block = Block(16, 2)
    assert add_lora(block, LoraConfig(rank=4)) == ["attn.qkv"]
    trained = {name: tuple(p.shape) for name, p in block.named_parameters() if p.requires_grad}
    assert trained == {"attn.qkv.lora_a": (4, 16), "attn.qkv.lora_b": (48, 4)}


def test_training_moves_the_adapters_and_nothing_else() -> None:
    block, x = _adapted(), torch.randn(2, 5, 16)
    before = {name: p.detach().clone() for name, p in block.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in block.parameters() if p.requires_grad], lr=1e-2)
    block(x).square().mean().backward()
    optimizer.step()
    moved = {name for name, p in block.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "lora_" in name}


def test_merging_gives_the_same_outputs_and_unmerging_the_same_weights() -> None:
    block, x = _adapted(), torch.randn(2, 5, 16)
    before, weights = block(x), [layer.weight.clone() for layer in lora_layers(block)]
    merge_lora(block)
    assert not torch.equal(next(lora_layers(block)).weight, weights[0])
    torch.testing.assert_close(block(x), before, atol=1e-5, rtol=1e-5)
    unmerge_lora(block)
    for layer, weight in zip(lora_layers(block), weights, strict=True):
        torch.testing.assert_close(layer.weight, weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(block(x), before, atol=1e-5, rtol=1e-5)


def test_merging_twice_adds_once() -> None:
    block = _adapted()
    merge_lora(block)
    once = next(lora_layers(block)).weight.clone()
    merge_lora(block)
    assert torch.equal(next(lora_layers(block)).weight, once)


def test_the_file_holds_the_adapters_alone_and_makes_another_model_say_the_same(tmp_path: Path) -> None:
    block, other, x = _adapted(), _adapted(), torch.randn(2, 5, 16)
    for layer in lora_layers(other):
        nn.init.zeros_(layer.lora_b)
    save_adapters(block, tmp_path / "adapters.safetensors")
    assert all("lora_" in name for name in load_file(tmp_path / "adapters.safetensors"))
    assert not torch.equal(block(x), other(x))
    load_adapters(other, tmp_path / "adapters.safetensors")
    assert torch.equal(block(x), other(x))


def test_a_file_of_other_adapters_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "adapters.safetensors"
    save_adapters(_adapted(targets=(r"attn\.qkv",)), file)
    with pytest.raises(ValueError, match=r"adapters\.safetensors: does not hold this model's adapters; attn\.proj"):
        load_adapters(_adapted(), file)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_adapters(_adapted(), file)


def test_a_pattern_matches_whole_parts_of_a_name() -> None:
    with pytest.raises(ValueError, match=r"model\.lora\.targets: \['kv'\] match no linear layer; there are attn\.qkv"):
        add_lora(Block(16, 2), LoraConfig(rank=2, targets=("kv",)))


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        LoraConfig(targets=("(",))
