"""What is learnt and how it is judged: batch -> loss, metrics, headline metric and its direction."""

from fusegpt.tasks.waypoints import WaypointsConfig

# One more task is one more member, told apart by `kind`.
TaskConfig = WaypointsConfig

__all__ = ["TaskConfig", "WaypointsConfig"]
