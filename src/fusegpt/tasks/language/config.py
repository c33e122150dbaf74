"""`LanguageConfig`: the settings of telling the next token, and what they ask of model and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.text.config import TextData
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.sequence.config import Sampling, SequenceConfig
from fusegpt.tasks.metric import Metric

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.language.task import LanguageTask


class LanguageConfig(Config):
    """Tell the next token of a text from those before it; judged in bits per byte, whatever the tokens are."""

    kind: Literal["language"] = Field(default="language", description="Which task this is.")
    sampling: Sampling = Field(default=Sampling(), description="How a served model goes on with a text.")

    @property
    def headline(self) -> Metric:
        """What decides."""
        return Metric("val/bits_per_byte", "min")

    def check(self, model: Config, data: Config) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""
        if not isinstance(model, GPTConfig | SequenceConfig):
            raise ValueError("model.kind must be gpt or sequence for task.kind language")
        if not isinstance(data, TextData):
            raise ValueError("data.source must be text for task.kind language")
        has_positions = isinstance(model, GPTConfig) or model.cell == "gpt"
        if has_positions and data.block_size > model.block_size:
            raise ValueError(
                f"data.block_size ({data.block_size}) must not be above model.block_size ({model.block_size})"
            )

    def build(self, experiment: Experiment) -> LanguageTask:
        """The task, over the model and the data of this experiment."""
        from fusegpt.tasks.language.task import LanguageTask

        return LanguageTask(experiment)
