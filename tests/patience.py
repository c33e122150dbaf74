"""Waiting for what must come to pass, with a patience that a slow and busy machine never uses up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0
START_S = 180.0  # for a process that imports Ray and PyTorch


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Look again and again until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass within {seconds:g} s"
        time.sleep(0.02)
