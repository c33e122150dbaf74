"""What positions are for, and how sines differ from an embedding that is learnt and from the plain number.

Shapes: B batch, T tokens, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from benchmarks._notes.table import Table
from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.vision_transformer.config import VisionTransformerConfig
from fusegpt.nn.attention import SelfAttention
from fusegpt.nn.positions import Positions, sinusoidal

T, C = 512, 64
STEP = 8  # places between two tokens that are compared


def order() -> Table:
    """How much a token's output changes when the other tokens change places."""
    torch.manual_seed(0)
    attention = SelfAttention(32, 4)
    x = torch.randn(1, 16, 32)
    shuffled = x[:, [0, *(1 + torch.randperm(15)).tolist()]]  # the first stays
    ways: dict[str, nn.Module] = {"none": nn.Identity(), "sines": Positions("sinusoidal", 16, 32)}
    with torch.no_grad():
        rows = tuple((name, _change(attention, add(x), add(shuffled))) for name, add in ways.items())
    return Table(("positions", "change of the first token when the others are shuffled"), rows)


def kinds() -> Table:
    """Sines, an embedding as it begins, and the plain number of the place, on 512 places of 64 channels."""
    torch.manual_seed(0)
    learned = Positions("learned", T, C)
    tables = {
        "sines": (sinusoidal(T, C), 0),
        "learnt, before training": (learned.table.detach(), sum(p.numel() for p in learned.parameters())),
        "plain number in every channel": (torch.arange(float(T))[:, None].expand(T, C), 0),
    }
    rows = tuple((name, parameters, *_described(table)) for name, (table, parameters) in tables.items())
    columns = (
        "positions",
        "parameters",
        "size at place 1",
        "size at place 511",
        "spread of p(i)·p(i+8)",
        "error of one move",
    )
    return Table(columns, rows)


def models() -> Table:
    """The positions in each of the models that have some."""
    fusion = FusionConfig(
        image_encoder="regnety_002", lidar_encoder="regnety_002", stages=(3, 4), image_anchors=(2, 6),
        lidar_anchors=(4, 4), n_embd=64,
    )  # fmt: skip
    built = {
        "`fusion`, small": fusion.build(fetch=False),
        "`gpt`": GPTConfig().build(256),
        "`encoder_decoder`": EncoderDecoderConfig().build(256, padding=0),
        "`vision_transformer`": VisionTransformerConfig().build(image_px=28, classes=10),
    }
    rows = tuple(_counted(name, model) for name, model in built.items())
    return Table(("model", "positions", "learnt numbers", "share of the parameters"), rows)


def _change(attention: SelfAttention, x: torch.Tensor, other: torch.Tensor) -> float:
    """The change of the first token's output, relative to its size."""
    first, second = attention(x)[:, 0], attention(other)[:, 0]
    return float((first - second).norm() / first.norm())


def _described(table: torch.Tensor) -> tuple[float, float, float, float]:
    """(T, C) -> sizes; the spread of the products STEP apart, relative; the error of the best matrix for that step."""
    products = (table[:-STEP] * table[STEP:]).sum(-1)
    spread = float(products.std() / products.abs().mean())
    return float(table[1].norm()), float(table[-1].norm()), spread, _move_error(table.double())


def _move_error(table: torch.Tensor) -> float:
    """One matrix that moves a place STEP on, fitted to the even places: how wrong it is about the odd, relative."""
    here, there = table[:-STEP], table[STEP:]
    move = torch.linalg.lstsq(here[::2], there[::2], driver="gelsd").solution
    return float((here[1::2] @ move - there[1::2]).norm() / there[1::2].norm())


def _counted(name: str, model: nn.Module) -> tuple[str, str, int, float]:
    learned = sum(parameter.numel() for parameter in _learned(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    return name, "learnt" if learned else "sines", learned, learned / total


def _learned(model: nn.Module) -> Iterator[nn.Parameter]:
    for name, parameter in model.named_parameters():
        if name.endswith("pos_emb") or "wpe" in name or "positions" in name:
            yield parameter
