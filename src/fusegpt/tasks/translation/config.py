"""`TranslationConfig`: the settings of translating a text, and what they ask of model and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fusegpt.config import Config
from fusegpt.data.dates.config import DatesData
from fusegpt.data.parallel_text.config import ParallelTextData
from fusegpt.models.encoder_decoder.config import EncoderDecoderConfig
from fusegpt.tasks.metric import Metric
from fusegpt.tasks.translation.bleu import require_sacrebleu

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment
    from fusegpt.tasks.translation.task import TranslationTask


class TranslationConfig(Config):
    """Translate a text. Training shows the true target so far (teacher forcing); judging and serving do not."""

    kind: Literal["translation"] = Field(default="translation", description="Which task this is.")
    metric: Literal["exact_match", "sentence_bleu"] = Field(
        default="exact_match", description="What decides: equal texts, or sacreBLEU of each sentence, 0 to 100."
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each target token that is spread over all tokens."
    )
    beam_width: int = Field(default=1, ge=1, le=64, description="Targets followed at once; 1 is greedy.")
    length_penalty: float = Field(
        default=0.6, ge=0, description="How much longer targets are favoured, where beam_width is above 1."
    )
    max_target_tokens: int = Field(default=16, ge=1, description="Where a target is cut off, in bytes and an end.")

    @property
    def headline(self) -> Metric:
        """What decides. Raises SettingError naming `task.metric` where what it needs is not installed."""
        if self.metric == "sentence_bleu":
            require_sacrebleu()
        return Metric(f"val/{self.metric}", "max")

    def check(self, model: Config, data: Config) -> None:
        """Whether model and data fit each other and this task. Raises ValueError naming the dotted keys."""
        if not isinstance(model, EncoderDecoderConfig):
            raise ValueError("model.kind must be encoder_decoder for task.kind translation")
        if not isinstance(data, DatesData | ParallelTextData):
            raise ValueError("data.source must be dates or parallel_text for task.kind translation")
        if data.max_tokens > model.block_size:
            raise ValueError(
                f"model.block_size ({model.block_size}) must be at least {data.max_tokens}, "
                "the longest text of data (data.max_tokens)"
            )
        if self.max_target_tokens > model.block_size:
            raise ValueError(
                f"task.max_target_tokens ({self.max_target_tokens}) must not be above model.block_size "
                f"({model.block_size})"
            )

    def build(self, experiment: Experiment) -> TranslationTask:
        """The task, over the model and the data of this experiment. Raises SettingError naming `task.metric`."""
        from fusegpt.tasks.translation.task import TranslationTask

        return TranslationTask(experiment)
