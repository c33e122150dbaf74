"""Greedy and beam search: the target that a trained encoder-decoder tells for a source.

Shapes: B sources, W beams, N = B * W rows, T target tokens, V tokens of the vocabulary.
Length penalty of Wu et al., Google's Neural Machine Translation System, 2016, equation 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from fusegpt.models.encoder_decoder.model import Encoded, EncoderDecoder


@dataclass(frozen=True)
class Ends:
    """The tokens that begin and end a target, and how many it has at most."""

    begin: int
    end: int
    max_tokens: int


class Teller(Protocol):
    """Tells the next token of N rows from all that it was given so far."""

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        """The newest token of each row (N,) -> log-probabilities of the one after it (N, V), float32."""
        ...

    def select(self, rows: torch.Tensor) -> None:
        """Go on with these rows (N,), which may repeat."""
        ...


class CachedTeller:
    """Computes each token once: keys and values of those before it are kept."""

    def __init__(self, model: EncoderDecoder, encoded: Encoded) -> None:
        self.model, self.encoded = model, encoded
        self.caches = model.caches()

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model.decode(tokens[:, None], self.encoded, self.caches)[:, -1].float().log_softmax(-1)

    def select(self, rows: torch.Tensor) -> None:
        self.encoded = self.encoded.rows(rows)
        for cache in self.caches:
            cache.select(rows)


class UncachedTeller:
    """Computes all tokens anew each time: the reference that `CachedTeller` is held to."""

    def __init__(self, model: EncoderDecoder, encoded: Encoded) -> None:
        self.model, self.encoded = model, encoded
        self.told: torch.Tensor | None = None

    def next(self, tokens: torch.Tensor) -> torch.Tensor:
        self.told = tokens[:, None] if self.told is None else torch.cat([self.told, tokens[:, None]], dim=1)
        return self.model.decode(self.told, self.encoded)[:, -1].float().log_softmax(-1)

    def select(self, rows: torch.Tensor) -> None:
        self.encoded = self.encoded.rows(rows)
        self.told = None if self.told is None else self.told[rows]


@torch.no_grad()
def greedy(model: EncoderDecoder, source: torch.Tensor, ends: Ends, cached: bool = True) -> torch.Tensor:
    """The likeliest token each time: (B, S) -> (B, T) with padding after the end token."""
    teller = _teller(model, source, cached)
    newest = source.new_full((len(source),), ends.begin)
    done = torch.zeros_like(newest, dtype=torch.bool)
    told = []
    for _ in range(ends.max_tokens):
        newest = teller.next(newest).argmax(-1).masked_fill(done, model.padding)
        told.append(newest)
        done = done | (newest == ends.end)
        if done.all():
            break
    return torch.stack(told, dim=1)


@torch.no_grad()
def beam(
    model: EncoderDecoder,
    source: torch.Tensor,
    ends: Ends,
    width: int,
    length_penalty: float = 0.6,
    cached: bool = True,
) -> torch.Tensor:
    """The best of `width` targets followed at once: (B, S) -> (B, T) with padding after the end token."""
    B = len(source)
    teller = _teller(model, source, cached)
    teller.select(torch.arange(B, device=source.device).repeat_interleave(width))
    beams = _Beams(B, width, model.padding, ends, source.device)
    for _ in range(ends.max_tokens):
        teller.select(beams.extend(teller.next(beams.newest)))
        if beams.done.all():
            break
    return beams.best(length_penalty)


class _Beams:
    """W targets of each of B sources, best first, with the sum of their log-probabilities."""

    def __init__(self, B: int, W: int, padding: int, ends: Ends, device: torch.device) -> None:
        self.W, self.padding, self.ends = W, padding, ends
        self.scores = torch.full((B, W), float("-inf"), device=device)
        self.scores[:, 0] = 0.0  # the beams begin equal: all but one would be copies
        self.newest = torch.full((B * W,), ends.begin, device=device)
        self.done = torch.zeros(B * W, dtype=torch.bool, device=device)
        self.told = self.newest.new_empty(B * W, 0)
        self.first = torch.arange(B, device=device)[:, None] * W  # (B, 1): each source's first row

    def extend(self, log_p: torch.Tensor) -> torch.Tensor:
        """(N, V): take up the best W continuations of each source. Returns the row that each goes on from, (N,)."""
        V = log_p.shape[-1]
        log_p = log_p.masked_fill(self.done[:, None], float("-inf"))
        log_p[self.done, self.padding] = 0.0  # an ended target stays as it is
        totals = (self.scores.view(-1, 1) + log_p).view(-1, self.W * V)  # (B, W*V)
        self.scores, flat = totals.topk(self.W, dim=-1)
        rows = (self.first + flat // V).flatten()
        self.newest = (flat % V).flatten()
        self.told = torch.cat([self.told[rows], self.newest[:, None]], dim=1)
        self.done = self.done[rows] | (self.newest == self.ends.end)
        return rows

    def best(self, length_penalty: float) -> torch.Tensor:
        """The best target of each source for its length, (B, T)."""
        lengths = (self.told != self.padding).sum(-1).view_as(self.scores)
        penalized = self.scores / ((5 + lengths) / 6) ** length_penalty
        rows = self.first[:, 0] + penalized.argmax(-1)
        return self.told[rows]


def _teller(model: EncoderDecoder, source: torch.Tensor, cached: bool) -> Teller:
    encoded = model.encode(source)
    return CachedTeller(model, encoded) if cached else UncachedTeller(model, encoded)
