"""What is learnt and how it is judged: batch -> loss, metrics, headline metric and its direction."""

from typing import Annotated

from pydantic import Field

from fusegpt.tasks.language import LanguageConfig
from fusegpt.tasks.waypoints import WaypointsConfig

# One more task is one more member, told apart by `kind`.
TaskConfig = Annotated[WaypointsConfig | LanguageConfig, Field(discriminator="kind")]

__all__ = ["LanguageConfig", "TaskConfig", "WaypointsConfig"]
