"""Each test may choose the task that experiments build; afterwards it is the real one again."""

from __future__ import annotations

import pytest
import torch

from fusegpt.tasks import WaypointsConfig


@pytest.fixture(autouse=True)
def _real_task_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WaypointsConfig, "build", WaypointsConfig.build)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
