"""`generate`: a text goes on, token by token.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

import torch

from fusegpt.models.sequence.config import Sampling
from fusegpt.models.sequence.model import SequenceModel
from fusegpt.models.sequence.sampling import draw


@torch.inference_mode()
def generate(model: SequenceModel, tokens: torch.Tensor, sampling: Sampling, cached: bool = True) -> torch.Tensor:
    """(B, T) of a prompt, T >= 1 -> (B, max_new_tokens) that go on with it.

    Where the context is full, the model goes on from its last half. `cached=False` computes every token anew at each
    step: the same tokens, slower; what `cached` is held to.
    """
    generator = torch.Generator().manual_seed(sampling.seed)
    # Of a prompt that fills the context, the end; one place is left for the first new token.
    window = tokens[:, -(model.context - 1) :] if model.context else tokens
    memory, fresh = model.memory(), window
    written = []
    for _ in range(sampling.max_new_tokens):
        logits = model(fresh, memory) if cached else model(window)
        new = draw(logits[:, -1], sampling, generator)  # (B, 1)
        written.append(new)
        window, fresh = torch.cat([window, new], dim=1), new
        if model.context and window.shape[1] > model.context:
            window = window[:, -(model.context // 2) :]
            memory, fresh = model.memory(), window
    return torch.cat(written, dim=1)
