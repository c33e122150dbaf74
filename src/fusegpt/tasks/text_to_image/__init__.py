"""Drawing what a caption says."""

from fusegpt.tasks.text_to_image.config import TextToImageTaskConfig

__all__ = ["TextToImageTaskConfig"]
