"""Seeds that are functions of where training stands, so that no random state needs to be kept to resume exactly."""

from __future__ import annotations

import numpy as np
import torch

# The first word of each stream, so that no two streams meet.
WEIGHTS, ORDER, STEP, AUGMENT = range(4)


def stream(*words: int) -> np.random.Generator:
    """A NumPy generator of its own for these words."""
    return np.random.default_rng(np.random.SeedSequence(words))


def seed_torch(*words: int) -> None:
    """Set torch's random state, on every device, to a function of these words."""
    torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]))
