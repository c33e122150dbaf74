"""`TextToImageTaskConfig`: the settings of drawing what a caption says, and what they ask of model and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.shapes.config import ShapesData
from fusegpt.models.text_to_image.config import TextToImageConfig
from fusegpt.tasks.metric import Metric

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.text_to_image.task import TextToImageTask


class TextToImageTaskConfig(Config):
    """Draw what a caption says; judged by what can be seen in the pictures that are drawn."""

    kind: Literal["text_to_image"] = Field(default="text_to_image", description="Which task this is.")
    guidance: float = Field(
        default=2.0, ge=0, le=100, description="How far a caption leads away from none; 1 is without guidance."
    )
    temperature: float = Field(default=1.0, ge=0, description="Above 1 bolder, below 1 safer; 0 takes the likeliest.")
    top_k: int = Field(default=0, ge=0, description="Draw among so many of the likeliest codes; 0 among all.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Draw among the likeliest that hold this probability.")
    seed: int = Field(default=0, ge=0, description="Seed of the draws: the same caption, the same picture.")

    @property
    def headline(self) -> Metric:
        """What decides."""
        return Metric("val/accuracy", "max")

    def check(self, model: Config, data: Config) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""
        if not isinstance(model, TextToImageConfig):
            raise ValueError("model.kind must be text_to_image for task.kind text_to_image")
        if not isinstance(data, ShapesData):
            raise ValueError("data.source must be shapes for task.kind text_to_image")
        if data.image_px % model.patch_px:
            raise ValueError(f"data.image_px ({data.image_px}) must be a multiple of model.patch_px ({model.patch_px})")
        if self.guidance != 1 and not model.caption_pdrop:
            raise ValueError(f"task.guidance ({self.guidance}) needs model.caption_pdrop above 0; 1 guides nothing")

    def build(self, experiment: Experiment) -> TextToImageTask:
        """The task, over the model and the data of this experiment."""
        from fusegpt.tasks.text_to_image.task import TextToImageTask

        return TextToImageTask(experiment)
