"""What is learnt and how it is judged: batch -> loss, metrics, headline metric and its direction."""

from typing import Annotated

from pydantic import Field

from fusegpt.tasks.classification import ClassificationConfig
from fusegpt.tasks.language import LanguageConfig
from fusegpt.tasks.text_to_image import TextToImageTaskConfig
from fusegpt.tasks.translation import TranslationConfig
from fusegpt.tasks.waypoints import WaypointsConfig

# One more task is one more member, told apart by `kind`.
TaskConfig = Annotated[
    WaypointsConfig | LanguageConfig | TranslationConfig | ClassificationConfig | TextToImageTaskConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "ClassificationConfig",
    "LanguageConfig",
    "TaskConfig",
    "TextToImageTaskConfig",
    "TranslationConfig",
    "WaypointsConfig",
]
