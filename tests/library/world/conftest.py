"""One short drive, made once for all tests of the world."""

from __future__ import annotations

import pytest

from fusegpt.data.sample import Sample
from fusegpt.data.world.config import WorldData
from fusegpt.data.world.drive import Drive
from fusegpt.data.world.reader import WorldReader


@pytest.fixture(scope="session")
def reader() -> WorldReader:
    """A world of short drives with labels."""
    return WorldData(n_drives=4, seconds_per_drive=12, rate_hz=2, labels=True).reader()


@pytest.fixture(scope="session")
def samples(reader: WorldReader) -> list[Sample]:
    """All samples of its first drive."""
    return list(reader.samples("world-0000"))


@pytest.fixture(scope="session")
def drive(reader: WorldReader) -> Drive:
    """That drive itself."""
    return reader.drive("world-0000")
