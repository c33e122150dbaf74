"""What a model that was trained on the truth so far does when it has only its own answers.

The task: the next number of 12 is a fixed jumble of the present one plus the one before, modulo 12. A small GPT
learns it for so short that it is still wrong at times.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

from benchmarks._notes.table import Table, milliseconds
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.gpt.model import GPT

V, T, GIVEN = 12, 24, 4  # numbers, the length of a sequence, how many of them are given at test time
STEPS = 250
SHOWN = (1, 2, 4, 8, 16, 20)


def steps() -> Table:
    """The share of right numbers at each step after those that are given."""
    model, truth = trained(), sequences(512)
    with torch.no_grad():
        forced = model(truth[:, :-1]).argmax(-1)[:, GIVEN - 1 :]  # (B, T - GIVEN)
        free = alone(model, truth[:, :GIVEN])
    wanted = truth[:, GIVEN:]
    right, own = (forced == wanted).float(), (free == wanted).float()
    whole = right.mean()
    columns = (
        "step",
        "given the truth so far",
        "given its own answers",
        "all right so far, alone",
        "first column's mean, to the step",
    )
    rows = ((str(n), *_share(right, own, n), float(whole**n)) for n in SHOWN)
    return Table(columns, tuple(rows))


def passes() -> Table:
    """The time that 24 tokens take with the truth at hand, and one after the other."""
    model, truth = trained(), sequences(8)
    with torch.no_grad():
        together = milliseconds(lambda: model(truth[:, :-1]), repeats=7)
        apart = milliseconds(lambda: alone(model, truth[:, :GIVEN]), repeats=7)
    rows = (("teacher forcing", 1, together, 1.0), ("own answers", T - GIVEN, apart, apart / together))
    return Table(("told by", "passes", "ms", "ratio"), rows)


def sequences(count: int) -> torch.Tensor:
    """(count, T) int64; the first two numbers are drawn, the others follow."""
    jumble = torch.randperm(V, generator=torch.Generator().manual_seed(1))
    numbers = [torch.randint(V, (count,)), torch.randint(V, (count,))]
    while len(numbers) < T:
        numbers.append((jumble[numbers[-1]] + numbers[-2]) % V)
    return torch.stack(numbers, dim=1)


@cache
def trained() -> GPT:
    torch.manual_seed(0)
    model = GPTConfig(block_size=T, n_layer=2, n_head=2, n_embd=32, embd_pdrop=0, attn_pdrop=0, resid_pdrop=0).build(V)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = sequences(32)
        optimizer.zero_grad()
        # The first number after one alone cannot be known.
        logits = model(batch[:, :-1])[:, 1:]
        F.cross_entropy(logits.flatten(0, 1), batch[:, 2:].flatten()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def alone(model: GPT, given: torch.Tensor) -> torch.Tensor:
    """(B, GIVEN) -> (B, T - GIVEN): each number told from those that are given and its own answers."""
    told = given
    while told.shape[1] < T:
        told = torch.cat([told, model(told)[:, -1:].argmax(-1)], dim=1)
    return told[:, given.shape[1] :]


def _share(right: torch.Tensor, own: torch.Tensor, step: int) -> tuple[float, float, float]:
    at = step - 1
    return float(right[:, at].mean()), float(own[:, at].mean()), float(own[:, :step].prod(dim=1).mean())
