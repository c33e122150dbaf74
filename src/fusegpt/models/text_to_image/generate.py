"""`generate`: the codes of a picture, drawn one after the other under guidance.

Shapes: B batch, L words of a caption, N codes of a picture, K codes to choose from.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import default_rng

from fusegpt.models.sequence.config import Sampling
from fusegpt.models.sequence.sampling import probabilities
from fusegpt.models.text_to_image.model import TextToImage


@torch.inference_mode()
def generate(
    model: TextToImage, caption: torch.Tensor, sampling: Sampling, guidance: float, cached: bool = True
) -> torch.Tensor:
    """(B, L) -> codes (B, N). What is drawn for a caption follows from it and the seed, not from its neighbours.

    guidance: how many times farther from what the model says of no caption than the caption leads; 1 is without.
    `cached=False` computes every token anew at each step: the same codes, slower; what `cached` is held to.
    """
    guided = guidance != 1
    tokens = torch.cat([caption, torch.zeros_like(caption)]) if guided else caption
    memory, fresh, written = model.gpt.memory(), tokens, []
    marks = _marks(caption, model.side**2, sampling.seed)
    for step in range(model.side**2):
        logits = model.gpt(fresh, memory) if cached else model.gpt(tokens)
        codes = _draw(_guided(logits[:, -1, model.words :].float(), guidance), marks[:, step, None], sampling)
        written.append(codes)
        fresh = model.words + codes.repeat(2 if guided else 1, 1)
        tokens = torch.cat([tokens, fresh], dim=1)
    return torch.cat(written, dim=1)


def _guided(logits: torch.Tensor, guidance: float) -> torch.Tensor:
    """(2B, K), with a caption and then without -> (B, K)."""
    if guidance == 1:
        return logits
    told, blank = logits.chunk(2)
    return blank + guidance * (told - blank)


def _draw(logits: torch.Tensor, marks: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """(B, K) logits and (B, 1) marks between 0 and 1 -> (B, 1) codes."""
    reached = probabilities(logits, sampling).double().cumsum(-1)  # (B, K), growing to 1
    # The first code that lies above the mark, so that it is never one of probability 0.
    return (reached <= marks * reached[:, -1:]).sum(-1, keepdim=True)


def _marks(caption: torch.Tensor, steps: int, seed: int) -> torch.Tensor:
    """(B, steps): the numbers that pick the codes of each caption."""
    rows = [default_rng([seed, *words]).random(steps) for words in caption.tolist()]
    return torch.from_numpy(np.array(rows).reshape(-1, steps)).to(caption.device)
