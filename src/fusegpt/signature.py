"""What goes into a model and what comes out, as the endpoint and its clients need to know it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusegpt.config import Config


class Tensor(Config):
    """One named input or output."""

    name: str = Field(description="The name, the same in Python, in a form and in the Open Inference Protocol.")
    dtype: Literal["uint8", "int64", "float32", "text"] = Field(description="The element type.")
    shape: tuple[int, ...] = Field(description="The shape of one sample; -1 where any size is right.")
    media: Literal["image", "sweep", "numbers", "text"] = Field(
        default="numbers", description="How a person sends it: an image file, a sweep file, numbers or text."
    )
    description: str = Field(default="", description="What it is, with its unit and frame.")
    example: str = Field(default="", description="A text that is right here, where not every text is.")
    max_rows: int = Field(default=200_000, ge=1, description="The largest size of a free dimension.")


class Signature(Config):
    """The inputs and outputs of one prediction."""

    inputs: tuple[Tensor, ...] = Field(description="What a request must carry.")
    outputs: tuple[Tensor, ...] = Field(description="What the answer carries.")


class InputError(ValueError):
    """An input of a prediction is wrong: `field` is its name, the message says what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
