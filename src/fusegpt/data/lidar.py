"""Point cloud -> bird's-eye-view histogram, cell for cell what the originals compute."""

from __future__ import annotations

from pydantic import Field

from fusegpt.config import Config


class BevGrid(Config):
    """A grid over the ground plane: which points count, and into which cell."""

    x_min_m: float = Field(default=0.0, description="The near edge, metres ahead of the LiDAR.")
    x_max_m: float = Field(default=32.0, description="The far edge, metres ahead of the LiDAR.")
    y_min_m: float = Field(default=-16.0, description="The right edge (y points left), metres.")
    y_max_m: float = Field(default=16.0, description="The left edge, metres.")
    px_per_m: float = Field(default=4.0, gt=0, description="Cells per metre.")
    split_z_m: float = Field(default=-1.4, description="Height that parts the channels, metres in the sample's frame.")
    max_z_m: float = Field(default=100.0, description="Points above this height do not count.")
    max_points_per_cell: int = Field(default=5, ge=1, le=255, description="Counts are cut here, then divided by it.")

    @property
    def channels(self) -> int:
        """Above and below the split."""
        return 2
