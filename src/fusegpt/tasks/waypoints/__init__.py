"""Waypoints: where the car will be at each horizon, from one image, one sweep, its speed and its target point."""

from fusegpt.tasks.waypoints.config import WaypointsConfig

__all__ = ["WaypointsConfig"]
