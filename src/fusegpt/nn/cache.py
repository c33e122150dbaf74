"""`KeyValues`: the keys and values that an attention layer has already computed, so that no token is computed twice.

Shapes: B batch, nh heads, T tokens, hs head size.
"""

from __future__ import annotations

import torch


class KeyValues:
    """Grows token by token within a room that is reserved once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.length = 0
        self._keys: torch.Tensor | None = None
        self._values: torch.Tensor | None = None

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, nh, t, hs) of t new tokens, twice -> all so far, (B, nh, T, hs), twice. Raises ValueError when full."""
        B, nh, t, hs = keys.shape
        if self.length + t > self.room:
            raise ValueError(f"{self.length} + {t} tokens do not fit a context of {self.room}")
        if self._keys is None or self._values is None:
            self._keys, self._values = (keys.new_empty(B, nh, self.room, hs) for _ in range(2))
        before, self.length = self.length, self.length + t
        self._keys[:, :, before : self.length] = keys
        self._values[:, :, before : self.length] = values
        return self._keys[:, :, : self.length], self._values[:, :, : self.length]

    def select(self, rows: torch.Tensor) -> None:
        """Go on with these rows of the batch (N,), which may repeat: the beams of a beam search."""
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys[rows], self._values[rows]
