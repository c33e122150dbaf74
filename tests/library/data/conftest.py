from __future__ import annotations

from pathlib import Path

import pytest
from kitti_folder import KittiFolder


@pytest.fixture
def kitti(tmp_path: Path) -> KittiFolder:
    """An empty folder in KITTI's layout, to add drives to."""
    return KittiFolder(tmp_path / "kitti")
