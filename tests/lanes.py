"""Which tests run beside which: those that start a Ray one after another in one process, all others in a second one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling


class Lanes(LoadScopeScheduling):
    """A Ray wants both cores, and its dashboard's agent one port of the host, so that no two of them may meet.

    pytest-xdist shares tests out by the process that has read none of them, so that what they are is read from their
    files here, and not from their marks.
    """

    def _split_scope(self, nodeid: str) -> str:
        return lane_of(self.config.rootpath / nodeid.partition("::")[0])


@cache
def lane_of(file: Path) -> str:
    return "ray" if "pytest.mark.ray" in file.read_text(encoding="utf-8") else "without ray"
