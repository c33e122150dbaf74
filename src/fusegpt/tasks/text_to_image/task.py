"""`TextToImageTask`: losses, figures and answers of drawing what a caption says.

Shapes: B batch, L words of a caption, (H, W) = (image_px, image_px), N codes of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fusegpt.data.shapes.config import ShapesData
from fusegpt.data.shapes.scene import BLANK, MAX_WORDS, WORDS, numbers, parse, spoken
from fusegpt.models.sequence.config import Sampling
from fusegpt.models.text_to_image.config import TextToImageConfig
from fusegpt.models.text_to_image.generate import generate
from fusegpt.models.text_to_image.model import TextToImage
from fusegpt.signature import InputError, Signature, Tensor
from fusegpt.tasks.language.task import text_of
from fusegpt.tasks.task import Batch, Split, Splits
from fusegpt.tasks.text_to_image.config import TextToImageTaskConfig

if TYPE_CHECKING:
    from fusegpt.experiment import Experiment

EXAMPLE = "a small red circle above a blue square"
DRAWN = 40  # captions of a picture


class TextToImageTask:
    """Draw what a caption says; what decides is how many of the pictures show all of it."""

    def __init__(self, experiment: Experiment) -> None:
        assert isinstance(experiment.task, TextToImageTaskConfig)
        assert isinstance(experiment.model, TextToImageConfig)
        assert isinstance(experiment.data, ShapesData)
        self.headline = experiment.task.headline
        self.config, self.model_config, self.data = experiment.task, experiment.model, experiment.data
        shared = set(Sampling.model_fields) & set(TextToImageTaskConfig.model_fields)
        self.sampling = Sampling(**self.config.model_dump(include=shared))
        self.signature = signature(self.data.image_px)

    def build_model(self, fetch: bool = True) -> TextToImage:
        """A new model, drawn from torch's present random state."""
        return self.model_config.build(self.data.image_px, len(WORDS), MAX_WORDS, fetch)

    def open_splits(self, cache: Path) -> Splits:
        """The pictures and their captions."""
        return self.data.open_splits(cache)

    def losses(self, model: nn.Module, batch: Batch) -> Batch:
        """The model's own losses, each (B,)."""
        losses: Batch = model(batch["image"], batch["caption"])
        return losses

    def teach(self, model: nn.Module) -> Batch:
        """The losses of one picture and its caption, (1,) each, once the VAE has learnt: of the GPT, over its codes."""
        assert isinstance(model, TextToImage)
        model.steps = torch.tensor(self.model_config.vae_steps)  # which part learns is read from it, wherever it is
        caption = torch.zeros((1, MAX_WORDS), dtype=torch.int64, device=next(model.parameters()).device)
        image = caption.new_zeros((1, 3, self.data.image_px, self.data.image_px), dtype=torch.uint8)
        return self.losses(model, {"image": image, "caption": caption})

    def metrics(self, model: nn.Module, batch: Batch) -> Batch:
        """What the judge finds right in the pictures drawn for the captions, each (B,), 0 or 1.

        accuracy is all of it. reconstructed is the accuracy of true pictures that went through the codes: what the
        VAE lets the GPT reach. codes is how surprising the true pictures are, in nats a code.
        """
        from fusegpt.data.shapes.judge import judged

        assert isinstance(model, TextToImage)
        scenes = [parse(spoken(words)) for words in batch["caption"].tolist()]
        codes = model.encode(batch["image"])
        drawn = judged(_pictures(self._drawn(model, batch["caption"])), scenes)
        rebuilt = judged(_pictures(model.decode(codes)), scenes)["accuracy"]
        figures = {name: torch.from_numpy(right).float() for name, right in {**drawn, "reconstructed": rebuilt}.items()}
        return {**figures, "codes": model.nats(batch["caption"], codes)["codes"]}

    def encode(self, inputs: Sequence[Mapping[str, NDArray[np.generic]]]) -> Batch:
        """Captions -> {"caption" (B, L) int64}; an empty one asks for any picture. Raises InputError."""
        return {"caption": torch.tensor([_words(text_of(request)) for request in inputs]).view(-1, MAX_WORDS)}

    def predict(self, model: nn.Module, batch: Batch) -> Batch:
        """{"image" (B, 3, H, W) uint8}."""
        assert isinstance(model, TextToImage)
        return {"image": self._drawn(model, batch["caption"])}

    def decode(self, outputs: Batch) -> list[dict[str, NDArray[np.generic]]]:
        """Pictures, each (H, W, 3) uint8."""
        return [{"image": picture} for picture in _pictures(outputs["image"])]

    def draw(self, model: nn.Module, split: Split, folder: Path) -> list[Path]:
        """Pictures drawn for the first captions of the split, and true ones as the codes give them back."""
        from fusegpt.data.shapes.judge import judged
        from fusegpt.figures.drawn import draw_grid

        assert isinstance(model, TextToImage)
        batch = split.batch(np.arange(min(DRAWN, len(split))))
        on_device = {name: tensor.to(next(model.parameters()).device) for name, tensor in batch.items()}
        captions = [spoken(words) for words in batch["caption"].tolist()]
        scenes = [parse(caption) for caption in captions]
        drawn = _pictures(self._drawn(model, on_device["caption"]))
        rebuilt = _pictures(model.decode(model.encode(on_device["image"])))
        return [
            draw_grid(drawn, captions, judged(drawn, scenes)["accuracy"], folder / "drawn.png"),
            draw_grid(rebuilt, captions, judged(rebuilt, scenes)["accuracy"], folder / "reconstructed.png"),
        ]

    def _drawn(self, model: TextToImage, caption: torch.Tensor) -> torch.Tensor:
        """(B, L) -> (B, 3, H, W) uint8."""
        return model.decode(generate(model, caption, self.sampling, self.config.guidance))


def signature(image_px: int) -> Signature:
    """What a request carries and what the answer does."""
    return Signature(
        inputs=(
            Tensor(
                name="text", dtype="text", shape=(), media="text", max_rows=1000, example=EXAMPLE,
                description=f'What to draw, e.g. "{EXAMPLE}"; nothing draws anything.',
            ),
        ),
        outputs=(
            Tensor(
                name="image", dtype="uint8", shape=(image_px, image_px, 3), media="image",
                description="The picture, RGB, (height, width, 3).",
            ),
        ),
    )  # fmt: skip


def _words(text: str) -> list[int]:
    """The caption as the model reads it: in the words and the order of the data's own. Raises InputError."""
    if not text.strip():
        return numbers(BLANK)
    try:
        return numbers(str(parse(text)))
    except ValueError as error:
        raise InputError("text", str(error)) from None


def _pictures(images: torch.Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) -> (B, H, W, 3)."""
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
