"""A trained model made ready to answer: batch norms folded into the convolutions before them, pixels channels-last.

In evaluation a BatchNorm is a fixed scale and shift of each channel, which the convolution before it can do with its
own weights (Jacob et al., "Quantization and Training of Neural Networks ...", CVPR 2018, section 3.2). Channels-last is
the layout in which oneDNN and cuDNN run convolutions without reordering. Nothing is compiled, so it takes no time.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # of the largest output: what rounding in another order may change

Outputs = Mapping[str, torch.Tensor]


def ready_to_answer(model: nn.Module, run: Callable[[nn.Module], Outputs]) -> nn.Module:
    """A model that answers as `model` does, to TOLERANCE, and sooner where it has convolutions; or `model` itself.

    `run` puts a typical input through a model that it is given. What follows what is seen in such a run; should the
    folded model not agree with the one that it was made of, it is not used.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return model
    with torch.inference_mode():
        expected = run(model)
        made = copy.deepcopy(model).eval()
        for convolution, norm in _pairs(made, run):
            _fold(made, convolution, norm)
        made = made.to(memory_format=torch.channels_last)
        return made if agree(run(made), expected) else model


def _pairs(model: nn.Module, run: Callable[[nn.Module], Outputs]) -> list[tuple[str, str]]:
    """The names of each convolution and the batch norm that takes what it gives, both used once in a run."""
    names = {module: name for name, module in model.named_modules()}
    made_by: dict[int, tuple[nn.Module, torch.Tensor]] = {}  # the tensors are kept, so that no id is used twice
    found: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def gives(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        calls[names[module]] += 1
        made_by[id(output)] = module, output

    def takes(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        calls[names[module]] += 1
        if id(inputs[0]) in made_by:
            found.append((names[made_by[id(inputs[0])][0]], names[module]))

    handles = [module.register_forward_hook(gives) for module in names if isinstance(module, nn.Conv2d)]
    handles += [module.register_forward_pre_hook(takes) for module in names if isinstance(module, nn.BatchNorm2d)]
    try:
        run(model)
    finally:
        for handle in handles:
            handle.remove()
    return [(conv, norm) for conv, norm in found if calls[conv] == calls[norm] == 1 and _has_statistics(model, norm)]


def _has_statistics(model: nn.Module, norm: str) -> bool:
    return bool(model.get_submodule(norm).track_running_stats)


def _fold(model: nn.Module, convolution: str, norm: str) -> None:
    conv, bn = model.get_submodule(convolution), model.get_submodule(norm)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    model.set_submodule(convolution, fuse_conv_bn_eval(conv, bn))
    # timm's norms hold the activation that comes after them.
    rest = [module for module in (getattr(bn, "drop", None), getattr(bn, "act", None)) if isinstance(module, nn.Module)]
    model.set_submodule(norm, nn.Sequential(*rest))


def agree(outputs: Outputs, expected: Outputs) -> bool:
    """Whether these are the same outputs, but for what rounding in another order may change."""

    def close(one: torch.Tensor, other: torch.Tensor) -> bool:
        if not other.is_floating_point():
            return torch.equal(one, other)
        return one.shape == other.shape and torch.allclose(
            one, other, rtol=0.0, atol=TOLERANCE * max(1.0, float(other.abs().max()))
        )

    return outputs.keys() == expected.keys() and all(close(outputs[name], expected[name]) for name in expected)
