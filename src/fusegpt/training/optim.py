"""The optimiser and its rate: AdamW that decays matrices only, a linear warm-up, then a cosine or an inverse root."""

from __future__ import annotations

import math

import torch
from torch import nn

from fusegpt.training.config import TrainingConfig


def decays(owner: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay is for this parameter: the weights of linear, convolutional and recurrent layers.

    Not norms, biases and embeddings, nor bare parameters such as position embeddings, whose size is their content.
    """
    return parameter.ndim >= 2 and name.startswith("weight") and not isinstance(owner, nn.Embedding)


def decay_groups(model: nn.Module) -> tuple[list[str], list[str]]:
    """The names of the trained parameters that decay, and of those that do not; each once, in the model's order."""
    named = dict(model.named_parameters())
    decayed: list[str] = []
    kept: list[str] = []
    for full_name, parameter in named.items():
        if not parameter.requires_grad:
            continue
        prefix, _, name = full_name.rpartition(".")
        (decayed if decays(model.get_submodule(prefix), name, parameter) else kept).append(full_name)
    return decayed, kept


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW over the trained parameters, in two groups."""
    named = dict(model.named_parameters())
    groups = [
        {"params": [named[name] for name in names], "weight_decay": decay}
        for names, decay in zip(decay_groups(model), (config.weight_decay, 0.0), strict=True)
        if names
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def lr_at(step: int, steps: int, config: TrainingConfig) -> float:
    """The learning rate of a step, 0-based, of `steps`. A function of the step alone, so there is nothing to resume."""
    warmup = math.ceil(steps * config.warmup_fraction)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule == "inverse_sqrt":  # Vaswani et al., Attention Is All You Need, 2017, section 5.3
        return config.lr * max(config.min_lr_fraction, math.sqrt((warmup + 1) / (step + 1)))
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.lr * (config.min_lr_fraction + (1 - config.min_lr_fraction) * cosine)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The same rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
