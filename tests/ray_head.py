"""When the head of a Ray cluster that has just started may be relied on."""

from __future__ import annotations

import secrets
import time

from patience import START_S

from service.cluster.dashboard import Dashboard, NotNow
from service.settings import Settings


def until_it_takes_drivers(settings: Settings) -> None:
    """Wait for the agent that starts drivers: the dashboard answers before it, and says "try again later"."""
    dashboard, deadline = Dashboard(settings), time.monotonic() + START_S
    while True:
        try:
            return dashboard.submit(f"first-{secrets.token_hex(4)}", "true", {})
        except NotNow:
            assert time.monotonic() < deadline
            time.sleep(0.5)
