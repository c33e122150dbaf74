"""`ClassificationTask`: losses, figures and answers of telling a picture's class.

Shapes: B batch, c channels, (H, W) = (image_px, image_px), K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from fusegpt.data.digits.config import DigitsData
from fusegpt.data.image import resized
from fusegpt.models.row_recurrent.config import RowRecurrentConfig
from fusegpt.models.vision_transformer.config import VisionTransformerConfig
from fusegpt.signature import InputError, Signature, Tensor
from fusegpt.tasks.classification.config import ClassificationConfig
from fusegpt.tasks.task import Batch, Split, Splits

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment

MAX_PX = 8192
DRAWN = 512  # samples that a picture is made of


class ClassificationTask:
    """Telling a picture's class by cross-entropy."""

    def __init__(self, experiment: Experiment) -> None:
        assert isinstance(experiment.task, ClassificationConfig)
        assert isinstance(experiment.model, RowRecurrentConfig | VisionTransformerConfig)
        assert isinstance(experiment.data, DigitsData)
        self.headline = experiment.task.headline
        self.config, self.model_config, self.data = experiment.task, experiment.model, experiment.data
        self.channels = self.model_config.image_channels if self.model_config.kind == "vision_transformer" else 1
        self.signature = signature(self.data.classes)

    def build_model(self, fetch: bool = True) -> nn.Module:
        """A new model, drawn from torch's present random state."""
        return self.model_config.build(self.data.image_px, self.data.classes, fetch)

    def open_splits(self, cache: Path) -> Splits:
        """The pictures. Raises DataError naming the file."""
        return self.data.open_splits(cache)

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """The cross-entropy of each picture in nats, (B,)."""
        logits = self._logits(model, batch)
        smoothing = self.config.label_smoothing
        return {"loss": F.cross_entropy(logits, batch["label"], reduction="none", label_smoothing=smoothing)}

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """Whether the likeliest class is the right one, and the cross-entropy in nats, each (B,)."""
        logits = self._logits(model, batch)
        return {
            "accuracy": (logits.argmax(-1) == batch["label"]).float(),
            "cross_entropy": F.cross_entropy(logits, batch["label"], reduction="none"),
        }

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Pictures of any size -> {"image" (B, 1, H, W) uint8}, scaled as the data is. Raises InputError."""
        return {"image": torch.from_numpy(np.stack([self._scaled(request) for request in inputs]))}

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """{"probabilities" (B, K)}."""
        return {"probabilities": self._logits(model, batch).softmax(-1)}

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """The likeliest class and the probabilities of all."""
        return [
            {"class": np.array([row.argmax()], np.int64), "probabilities": row.astype(np.float32)}
            for row in outputs["probabilities"].numpy()
        ]

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """Which classes are taken for which, over the first samples of the split."""
        from fusegpt.figures.confusion import confusion

        batch = split.batch(np.arange(min(DRAWN, len(split))))
        device = next(model.parameters()).device
        told = self._logits(model, {name: tensor.to(device) for name, tensor in batch.items()}).argmax(-1)
        counts = np.zeros((self.data.classes, self.data.classes), np.int64)
        np.add.at(counts, (batch["label"].numpy(), told.cpu().numpy()), 1)
        return [confusion(counts, folder / "confusion.png")]

    def _logits(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = model(batch["image"].expand(-1, self.channels, -1, -1)).float()
        return logits

    def _scaled(self, request: Mapping[str, NDArray[np.generic]]) -> NDArray[np.uint8]:
        """(1, H, W): the same steps as the data's."""
        picture = _picture(request)
        side = self.data.image_px
        return resized(np.repeat(picture, 3, axis=-1), side, side)[:1]


def _picture(request: Mapping[str, NDArray[np.generic]]) -> NDArray[Any]:
    """The field "image", (H, W, 1) uint8. Raises InputError."""
    if "image" not in request:
        raise InputError("image", "is missing")
    value = np.asarray(request["image"])
    if value.dtype != np.uint8:
        raise InputError("image", f"must be uint8, 0 to 255, not {value.dtype}")
    if value.ndim != 3 or value.shape[2] != 1 or 0 in value.shape:
        raise InputError("image", f"must have the shape (height, width, 1), not {value.shape}")
    if max(value.shape) > MAX_PX:
        raise InputError("image", f"is too large: {value.shape}, at most {MAX_PX} each way")
    return value


def signature(classes: int) -> Signature:
    """What a request carries and what the answer does."""
    return Signature(
        inputs=(
            Tensor(
                name="image", dtype="uint8", shape=(-1, -1, 1), media="image", max_rows=MAX_PX,
                description="The picture, grey, bright on dark, (height, width, 1); scaled to the model's size.",
            ),
        ),
        outputs=(
            Tensor(name="class", dtype="int64", shape=(1,), description="The likeliest class."),
            Tensor(
                name="probabilities", dtype="float32", shape=(classes,),
                description="The probability of each class; they sum to 1.",
            ),
        ),
    )  # fmt: skip
