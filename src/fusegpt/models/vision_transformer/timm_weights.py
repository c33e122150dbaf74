"""Weights of timm's plain Vision Transformers -> ours, with equal logits.

Names are those of timm 1.0's `VisionTransformer` with a class token and learnt positions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fusegpt.config import SettingError
from fusegpt.models.vision_transformer.model import VisionTransformer
from fusegpt.nn.positions import resized_grid

Weights = Mapping[str, torch.Tensor]

# timm's name -> ours, by its beginning or within a block.
NAMES = (
    (r"^patch_embed\.proj\.", "patches."),
    (r"^pos_embed$", "pos_emb"),
    (r"^norm\.", "ln_f."),
    (r"\.norm([12])\.", r".ln\1."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
)


def renamed(weights: Weights) -> dict[str, torch.Tensor]:
    """timm's state dict under our names."""
    ours = {}
    for name, value in weights.items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        ours[name] = value
    return ours


def load_timm(model: VisionTransformer, weights: Weights, head: bool = True) -> None:
    """Put timm's weights into a model of the same size; positions of another picture size are interpolated.

    head=False leaves the classes as they are. Raises ValueError naming every weight that does not fit.
    """
    ours, own = renamed(weights), model.state_dict()
    if not head:
        ours = {name: value for name, value in ours.items() if not name.startswith("head.")}
        own = {name: value for name, value in own.items() if not name.startswith("head.")}
    if "pos_emb" in ours:
        ours["pos_emb"] = _positions(ours["pos_emb"], model)
    wrong = [f"{name} is in one of both only" for name in sorted(set(own) ^ set(ours))]
    wrong += [
        f"{name} is {tuple(ours[name].shape)}, this model's is {tuple(own[name].shape)}"
        for name in sorted(set(own) & set(ours))
        if own[name].shape != ours[name].shape
    ]
    if wrong:
        raise ValueError("; ".join(wrong))
    model.load_state_dict(ours, strict=False)


def load_timm_file(model: VisionTransformer, file: Path) -> None:
    """The weights of a safetensors file, without its classes. Raises SettingError naming `model.pretrained`."""
    try:
        load_timm(model, load_file(file), head=False)
    except (OSError, SafetensorError) as error:
        raise SettingError(f"model.pretrained: {file} cannot be read as safetensors ({error})") from None
    except ValueError as error:
        raise SettingError(f"model.pretrained: {file} is no timm ViT of this model's size: {error}") from None


def _positions(pos_emb: torch.Tensor, model: VisionTransformer) -> torch.Tensor:
    """timm's positions for this model's grid."""
    side = round((pos_emb.shape[1] - 1) ** 0.5)
    if side * side != pos_emb.shape[1] - 1:
        return pos_emb  # of no square picture: left to fail by its shape
    return torch.cat([pos_emb[:, :1], resized_grid(pos_emb[:, 1:], (side, side), model.grid)], dim=1)
