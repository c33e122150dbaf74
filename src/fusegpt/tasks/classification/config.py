"""`ClassificationConfig`: the settings of telling a picture's class, and what they ask of model and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.digits.config import DigitsData
from fusegpt.models.row_recurrent.config import RowRecurrentConfig
from fusegpt.models.vision_transformer.config import VisionTransformerConfig
from fusegpt.tasks.metric import Metric

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.classification.task import ClassificationTask


class ClassificationConfig(Config):
    """Tell the class of a picture."""

    kind: Literal["classification"] = Field(default="classification", description="Which task this is.")
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Share of each label that is spread over all classes."
    )

    @property
    def headline(self) -> Metric:
        """What decides."""
        return Metric("val/accuracy", "max")

    def check(self, model: Config, data: Config) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""
        if not isinstance(model, RowRecurrentConfig | VisionTransformerConfig):
            raise ValueError("model.kind must be row_recurrent or vision_transformer for task.kind classification")
        if not isinstance(data, DigitsData):
            raise ValueError("data.source must be digits for task.kind classification")
        if isinstance(model, VisionTransformerConfig) and data.image_px % model.patch_px:
            raise ValueError(f"data.image_px ({data.image_px}) must be a multiple of model.patch_px ({model.patch_px})")

    def build(self, experiment: Experiment) -> ClassificationTask:
        """The task, over the model and the data of this experiment."""
        from fusegpt.tasks.classification.task import ClassificationTask

        return ClassificationTask(experiment)
