"""The GPT: published sizes, Hugging Face's logits, and folders that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from fusegpt.config import SettingError
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.gpt.huggingface import load_gpt2, load_into
from fusegpt.models.gpt.presets import PRESETS, VOCAB_SIZE

# As Radford et al.'s released weights have them, positions included, the tied head counted once.
PUBLISHED = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200}
SIZES: dict[str, dict[str, Any]] = {
    "one layer": {"n_layer": 1, "n_head": 1, "n_embd": 16, "n_positions": 24, "vocab_size": 60},
    "three layers": {"n_layer": 3, "n_head": 4, "n_embd": 48, "n_positions": 32, "vocab_size": 257},
    "wide": {"n_layer": 2, "n_head": 12, "n_embd": 192, "n_positions": 64, "vocab_size": 1000},
}


def _folder(at: Path, size: str = "one layer", **changes: Any) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES[size], **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # biases and norms too, which a fresh one has plain
    model.save_pretrained(at)
    return model


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_preset_has_as_many_parameters_as_the_published_model(name: str) -> None:
    with torch.device("meta"):
        model = PRESETS[name].build(VOCAB_SIZE)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("size", sorted(SIZES))
def test_a_hugging_face_folder_gives_the_logits_of_transformers(size: str, tmp_path: Path) -> None:
    theirs = _folder(tmp_path, size)
    ours = load_gpt2(tmp_path).eval()
    tokens = torch.randint(0, SIZES[size]["vocab_size"], (3, SIZES[size]["n_positions"]))
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=1e-4, rtol=0)


def test_a_folder_with_masks_and_without_prefix_is_read_too(tmp_path: Path) -> None:
    theirs = _folder(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = {name.removeprefix("transformer."): tensor for name, tensor in load_file(file).items()}
    save_file({**weights, "h.0.attn.bias": torch.ones(1, 1, 24, 24)}, file)
    tokens = torch.randint(0, 60, (1, 9))
    with torch.no_grad():
        torch.testing.assert_close(load_gpt2(tmp_path).eval()(tokens), theirs(tokens).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"activation_function": "relu"}, r"config\.json has activation_function = 'relu'; 'gelu_new' is right"),
        ({"n_embd": None}, r"config\.json is not of a GPT-2"),
        ({"n_layer": 2}, r"model\.safetensors does not fit: blocks\.1"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_by_file(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    _folder(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SettingError, match=f"model.pretrained: .*{says}"):
        load_gpt2(tmp_path)


def test_a_folder_of_another_size_names_the_setting(tmp_path: Path) -> None:
    _folder(tmp_path)
    sizes = {"block_size": 24, "n_layer": 1, "n_head": 1, "n_embd": 16}
    with pytest.raises(SettingError, match=r"model\.n_layer: is 2, but .* has 1"):
        load_into(GPTConfig(**{**sizes, "n_layer": 2}).build(60), tmp_path)
    with pytest.raises(SettingError, match=r"data\.vocab_size: there are 256 tokens, but .* has 60"):
        load_into(GPTConfig(**sizes).build(256), tmp_path)


def test_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"model\.pretrained: .*nowhere/config\.json cannot be read"):
        load_gpt2(tmp_path / "nowhere")


def test_what_adds_to_the_residual_stream_starts_smaller() -> None:
    torch.manual_seed(0)
    model = GPTConfig(n_layer=8, n_embd=128).build(64)
    state = {name: float(tensor.std()) for name, tensor in model.state_dict().items() if tensor.ndim == 2}
    for name, std in state.items():
        adds = name.endswith(("attn.proj.weight", "mlp.2.weight"))
        assert std == pytest.approx(0.02 / 4 if adds else 0.02, rel=0.05), name


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"9 tokens are more than model\.block_size \(8\)"):
        GPTConfig(block_size=8, n_embd=16).build(10)(torch.zeros(1, 9, dtype=torch.int64))
