"""`Draw`: which requests a canary answers: the share that was asked for, evenly spread, and the same ones again."""

from __future__ import annotations

import hashlib

REQUEST_ID = "x-request-id"
GOLDEN = 0.6180339887498949  # multiples of it fill 0..1 evenly, at every length of the sequence


class Draw:
    """Decides request by request. Used from one thread."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, version: int, share: float, key: str) -> bool:
        """Whether the canary `version` answers.

        With a key (the client's X-Request-Id) it is always the same answer, and one that a larger share keeps.
        """
        if key:
            digest = hashlib.blake2b(f"{version}:{key}".encode(), digest_size=8).digest()
            return int.from_bytes(digest, "big") < share * 2**64
        self._count += 1
        return (self._count * GOLDEN) % 1.0 < share
