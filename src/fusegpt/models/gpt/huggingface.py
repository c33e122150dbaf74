"""A GPT-2 folder of Hugging Face (config.json, model.safetensors) -> our GPT with the same logits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fusegpt.config import SettingError
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.gpt.model import GPT

NAMES = {
    "ln_1": "ln1", "ln_2": "ln2", "attn.c_attn": "attn.qkv", "attn.c_proj": "attn.proj",
    "mlp.c_fc": "mlp.0", "mlp.c_proj": "mlp.2",
}  # fmt: skip
# Theirs are (in, out), a convolution of width one; ours are (out, in).
TRANSPOSED = re.compile(r"(attn\.(qkv|proj)|mlp\.[02])\.weight$")
# Old folders keep the causal mask among the weights.
NO_WEIGHT = re.compile(r"\.attn\.(bias|masked_bias)$")
# What a folder's config.json must say for the logits to be the same: their key, the value that ours has.
FIXED = {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
         "scale_attn_by_inverse_layer_idx": False, "tie_word_embeddings": True}  # fmt: skip


def load_gpt2(folder: Path) -> GPT:
    """The model in a folder. Raises SettingError naming the file and what is wrong with it."""
    config, vocab_size = read_config(folder)
    model = GPT(config, vocab_size)
    load_into(model, folder)
    return model


def read_config(folder: Path) -> tuple[GPTConfig, int]:
    """The sizes that config.json tells, and the size of the vocabulary. Raises SettingError naming the file."""
    file = folder / "config.json"
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"model.pretrained: {file} cannot be read as JSON ({error})") from None
    for key, wanted in FIXED.items():
        if told.get(key, wanted) != wanted:
            raise SettingError(f"model.pretrained: {file} has {key} = {told[key]!r}; {wanted!r} is right")
    try:
        n_embd, inner = told["n_embd"], told.get("n_inner") or 4 * told["n_embd"]
        config = GPTConfig(
            block_size=told["n_positions"], n_layer=told["n_layer"], n_head=told["n_head"], n_embd=n_embd,
            block_exp=inner // n_embd,
        )  # fmt: skip
        return config, int(told["vocab_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f"model.pretrained: {file} is not of a GPT-2 ({error})") from None


def load_into(model: GPT, folder: Path) -> None:
    """Put a folder's weights into a model of its sizes. Raises SettingError naming the file and the setting."""
    theirs, vocab_size = read_config(folder)
    for name in ("block_size", "n_layer", "n_head", "n_embd", "block_exp"):
        own, told = getattr(model.config, name), getattr(theirs, name)
        if own != told:
            raise SettingError(f"model.{name}: is {own}, but {folder} has {told}")
    if model.wte.num_embeddings != vocab_size:
        raise SettingError(
            f"data.vocab_size: there are {model.wte.num_embeddings} tokens, but {folder} has {vocab_size}"
        )
    weights = convert(read_weights(folder / "model.safetensors"))
    put(weights, model, folder / "model.safetensors")


def convert(theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their names and layouts -> ours."""
    ours = {}
    for name, tensor in theirs.items():
        name = name.removeprefix("transformer.")
        if NO_WEIGHT.search(name) or name == "lm_head.weight":  # the head is the embedding
            continue
        name = re.sub(r"^h\.", "blocks.", name)
        for old, new in NAMES.items():
            name = re.sub(rf"^(blocks\.\d+\.){re.escape(old)}\.", rf"\g<1>{new}.", name)
        ours[name] = tensor.T.contiguous() if TRANSPOSED.search(name) else tensor
    return ours


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file. Raises SettingError naming it."""
    try:
        weights: dict[str, torch.Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise SettingError(f"model.pretrained: {file} cannot be read as safetensors ({error})") from None
    return weights


def put(weights: dict[str, torch.Tensor], model: GPT, file: Path) -> None:
    """Put exactly these weights into a model. Raises SettingError naming the file and what does not fit."""
    own = model.state_dict()
    wrong = sorted(set(weights) ^ set(own))
    wrong += sorted(name for name in set(weights) & set(own) if weights[name].shape != own[name].shape)
    if wrong:
        raise SettingError(f"model.pretrained: {file} does not fit: {', '.join(wrong[:8])}")
    model.load_state_dict(weights)
