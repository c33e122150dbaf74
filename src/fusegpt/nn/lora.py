"""LoRA: a linear layer stays as it is, and what it lacks is learnt as a product of two narrow matrices.

Shapes: (out, in) the layer's weight W, r the rank; y = W x + (alpha / r) B A x with A (r, in), B (out, r), B = 0 first.
Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fusegpt.nn.config import LoraConfig


class LoraLinear(nn.Linear):
    """A linear layer with an adapter. Its own weight and bias keep their names, and are not trained."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, pdrop: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_a = nn.Parameter(self.weight.new_empty(rank, self.in_features))
        self.lora_b = nn.Parameter(self.weight.new_zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)
        self.lora_drop = nn.Dropout(pdrop)
        self.scale = alpha / rank
        self.merged = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        y = F.linear(x, self.weight, self.bias)
        if self.merged:
            return y
        return y + self.scale * F.linear(F.linear(self.lora_drop(x), self.lora_a), self.lora_b)

    @torch.no_grad()
    def merge(self, sign: int = 1) -> None:
        """Add the adapter to the weight (sign -1 takes it out again): the same outputs at a plain layer's cost."""
        if self.merged != (sign < 0):
            return
        # In float64: what is added can then be taken out again to the weight's own rounding.
        delta = self.scale * (self.lora_b.double() @ self.lora_a.double())
        self.weight.copy_(self.weight.double() + sign * delta)
        self.merged = sign > 0


def add_lora(model: nn.Module, config: LoraConfig) -> list[str]:
    """Give adapters to every linear layer that the config targets, freeze all else; the names of those layers.

    Raises ValueError naming `model.lora.targets` where it matches no linear layer.
    """
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    chosen = [name for name in linears if any(_matches(target, name) for target in config.targets)]
    if not chosen:
        raise ValueError(
            f"model.lora.targets: {list(config.targets)} match no linear layer; there are {', '.join(linears[:6])}, ..."
        )
    model.requires_grad_(False)
    for name in chosen:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        model.set_submodule(name, LoraLinear(linear, config.rank, config.alpha, config.pdrop))
    if config.checkpoint == "adapters":
        model.register_state_dict_post_hook(_leave_out_frozen)  # type: ignore[no-untyped-call]
        model.register_load_state_dict_post_hook(_do_not_miss_frozen)  # type: ignore[no-untyped-call]
    return chosen


def merge_lora(model: nn.Module) -> None:
    """Move every adapter into the weight of its layer."""
    for layer in lora_layers(model):
        layer.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Take every adapter out of the weight of its layer again."""
    for layer in lora_layers(model):
        layer.merge(-1)


def lora_layers(model: nn.Module) -> Iterator[LoraLinear]:
    """The layers that have adapters."""
    return (module for module in model.modules() if isinstance(module, LoraLinear))


def adapters(model: nn.Module) -> dict[str, torch.Tensor]:
    """The adapters alone, by parameter name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if _of_adapter(name)}


def save_adapters(model: nn.Module, file: Path) -> None:
    """Write the adapters alone, as safetensors; whole or not at all."""
    writing = file.with_name(f"{file.name}.writing")
    save_file({name: tensor.contiguous() for name, tensor in adapters(model).items()}, writing)
    writing.replace(file)


def load_adapters(model: nn.Module, file: Path) -> None:
    """Put saved adapters into a model that has the same ones. Raises ValueError naming the file and the adapter."""
    own = adapters(model)
    try:
        with safe_open(file, framework="pt") as saved:
            loaded = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file}: cannot be read as safetensors ({error})") from None
    if wrong := sorted(set(own) ^ set(loaded)):
        raise ValueError(f"{file}: does not hold this model's adapters; {wrong[0]} is in one of both only")
    for name, tensor in loaded.items():
        if tensor.shape != own[name].shape:
            raise ValueError(f"{file}: {name} is {tuple(tensor.shape)}, this model's is {tuple(own[name].shape)}")
        own[name].copy_(tensor)


def _of_adapter(name: str) -> bool:
    return name.rpartition(".")[2] in ("lora_a", "lora_b")


def _leave_out_frozen(_: nn.Module, state: dict[str, Any], prefix: str, __: object) -> None:
    for name in [name for name in state if name.startswith(prefix) and not _of_adapter(name)]:
        del state[name]


def _do_not_miss_frozen(model: nn.Module, found: Any) -> None:
    """What a file of adapters lacks is there already: it was loaded when the model was built."""
    frozen = tuple(name for name, _ in model.named_parameters() if not _of_adapter(name))
    found.missing_keys[:] = [name for name in found.missing_keys if not name.endswith(frozen)]


def _matches(target: str, name: str) -> bool:
    """Whether the expression matches whole parts of the name at its end: "qkv" is "blocks.0.attn.qkv", not "noqkv"."""
    return re.search(rf"(?:^|\.)(?:{target})$", name) is not None
