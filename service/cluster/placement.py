"""The reservation that a worker group holds: noted in its folder, so that whoever comes next can give it back.

Ray Train gives it back when it ends by itself. When its controller is killed it does not, and Ray keeps the CPUs and
GPUs reserved for as long as the driver lives.
"""

from __future__ import annotations

from pathlib import Path

from ray.util import get_current_placement_group, placement_group_table, remove_placement_group
from ray.util.placement_group import PlacementGroup

NOTE = "placement_group"


def remember(folder: Path) -> None:
    """Note the placement group of this worker in `folder`."""
    group = get_current_placement_group()
    if group is None:
        return
    partial = folder / f".{NOTE}"
    partial.write_text(group.id.hex())
    partial.replace(folder / NOTE)


def release(folder: Path) -> bool:
    """Give back what the note in `folder` names, where it is still reserved. Whether it was."""
    from ray._raylet import PlacementGroupID

    note = folder / NOTE
    if not note.exists():
        return False
    group = PlacementGroup(PlacementGroupID(bytes.fromhex(note.read_text())))
    held: bool = placement_group_table(group).get("state", "REMOVED") != "REMOVED"
    if held:
        remove_placement_group(group)
    note.unlink()
    return held
