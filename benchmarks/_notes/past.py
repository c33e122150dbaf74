"""How much of the past is left: the gradient of the last output with respect to what came some steps before.

Shapes: B samples, T steps, H width.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from benchmarks._notes.table import Table
from fusegpt.nn.attention import SelfAttention

B, T, H = 16, 101, 64
SHOWN = (1, 5, 10, 50, 100)
LEAST = 1e-30  # the picture's floor
LSTM_OPEN = "LSTM, forget gates open"


def fading() -> Table:
    """The gradient that is left of what came 1 to 100 steps before, as a share of that of the present step."""
    shares = {name: curve(build()) for name, build in LAYERS.items()}
    columns = ("untrained, width 64", *(f"{lag} before" for lag in SHOWN))
    return Table(columns, tuple((name, *(float(share[lag]) for lag in SHOWN)) for name, share in shares.items()))


def curve(layer: nn.Module) -> torch.Tensor:
    """(T,): the gradient's size at 0, 1, ... steps before, divided by that at 0."""
    layer.double()
    x = torch.randn(B, T, H, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    last = (y if isinstance(layer, SelfAttention) else y[0])[:, -1]
    (slope,) = torch.autograd.grad((last * torch.randn_like(last)).sum(), x)
    sizes: torch.Tensor = slope.norm(dim=(0, 2)).flip(0)  # (B, T, H) -> (T,), the last step first
    return sizes / sizes[0]


def draw(path: Path) -> None:
    """The curves of all layers, on a logarithmic scale."""
    from fusegpt.figures.style import BASELINE, INK, PREDICTION, TARGET, TRUTH, Sheet, labelled

    sheet = Sheet(900, 420)
    axes = sheet.axes(90, 40, 620, 310)
    for (name, build), colour in zip(LAYERS.items(), (PREDICTION, TARGET, BASELINE, INK, TRUTH), strict=True):
        share = curve(build())
        axes.plot(range(T), share, color=colour, linewidth=1.8)
        last = int((share >= LEAST).nonzero().max())
        beside = (6, 5 if name in ("GRU", LSTM_OPEN) else -5)
        axes.annotate(name, (last, float(share[last])), beside, textcoords="offset points", color=colour, va="center")
    axes.set_yscale("log")
    axes.set_xlim(0, T - 1)
    axes.set_ylim(LEAST, 10)
    labelled(axes, "steps before the last", "gradient that is left", "What the last output still hears of the past")
    sheet.save(path)


def _seeded(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def seeded() -> nn.Module:
        torch.manual_seed(0)
        return build()

    return seeded


def _open_lstm() -> nn.LSTM:
    """An LSTM whose forget gates begin at sigmoid(5) = 0.993: PyTorch orders input, forget, cell, output."""
    lstm = nn.LSTM(H, H, batch_first=True)
    with torch.no_grad():
        for name, value in (("bias_ih_l0", 5.0), ("bias_hh_l0", 0.0)):
            lstm.get_parameter(name)[H : 2 * H] = value
    return lstm


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "RNN": _seeded(lambda: nn.RNN(H, H, batch_first=True)),
    "LSTM": _seeded(lambda: nn.LSTM(H, H, batch_first=True)),
    "GRU": _seeded(lambda: nn.GRU(H, H, batch_first=True)),
    LSTM_OPEN: _seeded(_open_lstm),
    "attention, causal": _seeded(lambda: SelfAttention(H, 4, causal=True, kernel="math")),
}

if __name__ == "__main__":
    draw(Path(sys.argv[1]))
