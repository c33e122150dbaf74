"""How attention's heads lie in memory: splitting them off the channels, and joining them again.

Shapes: B batch, T tokens, C channels, nh heads, hs head size (C / nh).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks._notes.table import Table, Value, milliseconds
from fusegpt.nn.attention import attention_weights

B, T, NH, HS = 1, 8, 4, 4
C = NH * HS

Change = Callable[[torch.Tensor], torch.Tensor]

# A way to split (B, T, C) into heads, and the way back from what attention makes of them.
WAYS: dict[str, tuple[Change, Change]] = {
    "`view(B, T, nh, hs).transpose(1, 2)`": (
        lambda x: x.view(B, T, NH, HS).transpose(1, 2),
        lambda y: y.transpose(1, 2).flatten(2),
    ),
    "`view(B, T, nh, hs)`, not permuted": (lambda x: x.view(B, T, NH, HS), lambda y: y.flatten(2)),
    "`view(B, nh, T, hs)` at once": (lambda x: x.view(B, NH, T, HS), lambda y: y.reshape(B, T, C)),
}


def splits() -> Table:
    """Which tokens see which, and whether the result is that of one head after the other, for each way to split."""
    torch.manual_seed(0)
    x = torch.randn(B, T, C)
    rows = []
    for name, (split, join) in WAYS.items():

        def attend(x: torch.Tensor, split: Change = split, join: Change = join) -> torch.Tensor:
            return join(_attention(split(x)))

        off = float((attend(x) - _one_by_one(x)).abs().max())
        rows.append((name, tokens_met(attend, x), T * T, off))
    columns = ("split", "pairs of tokens that meet", "of", "largest difference from one head after the other")
    return Table(columns, tuple(rows))


def one_product() -> Table:
    """The time of all heads in one product, and of one head after the other, for few tokens and for many."""
    torch.manual_seed(0)
    rows = []
    for tokens in (8, 32, 128):
        heads = torch.randn(4, 8, tokens, 16)  # (B, nh, T, hs)
        together, apart = milliseconds(partial(_attention, heads)), milliseconds(partial(_each_head, heads))
        rows.append((str(tokens), together, apart, apart / together))
    return Table(("tokens (4 samples, 8 heads)", "ms, one product", "ms, head after head", "ratio"), tuple(rows))


def joins() -> Table:
    """What each way to join the heads again does: whether it works, and whether it copies."""
    torch.manual_seed(0)
    y = torch.randn(16, 8, 128, 32)  # (B, nh, T, hs)
    apart, whole = y.transpose(1, 2), y.transpose(1, 2).contiguous()
    shape = (16, 128, 256)  # (B, T, C)
    ways: dict[str, tuple[torch.Tensor, Change]] = {
        "transposed `.view(B, T, C)`": (apart, lambda y: y.view(shape)),
        "transposed `.contiguous().view(B, T, C)`": (apart, lambda y: y.contiguous().view(shape)),
        "transposed `.reshape(B, T, C)`": (apart, lambda y: y.reshape(shape)),
        "contiguous `.view(B, T, C)`": (whole, lambda y: y.view(shape)),
        "contiguous `.reshape(B, T, C)`": (whole, lambda y: y.reshape(shape)),
    }
    rows = tuple((name, *_joined(y, join, whole.view(shape))) for name, (y, join) in ways.items())
    return Table(("join", "works", "right", "bytes copied", "ms"), rows)


def tokens_met(attend: Change, x: torch.Tensor) -> int:
    """Of how many pairs of tokens the first one's output depends on the second one's input; x: (1, T, C)."""
    slope = torch.autograd.functional.jacobian(attend, x)  # type: ignore[no-untyped-call]  # (1, T, C, 1, T, C)
    return int((slope.abs().amax(dim=(0, 2, 3, 5)) > 0).sum())


def _attention(heads: torch.Tensor) -> torch.Tensor:
    """(..., T, hs) -> (..., T, hs): queries, keys and values are the tokens themselves."""
    return attention_weights(heads, heads) @ heads


def _each_head(heads: torch.Tensor) -> torch.Tensor:
    return torch.stack([_attention(head) for head in heads.unbind(1)], dim=1)


def _one_by_one(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([_attention(head) for head in torch.split(x, HS, dim=-1)], dim=-1)


def _joined(y: torch.Tensor, join: Change, right: torch.Tensor) -> tuple[Value, ...]:
    try:
        joined = join(y)
    except RuntimeError:
        return False, "–", "–", "–"
    copied = 0 if joined.data_ptr() == y.data_ptr() else joined.numel() * joined.element_size()
    return True, bool(joined.equal(right)), copied, milliseconds(lambda: join(y))
