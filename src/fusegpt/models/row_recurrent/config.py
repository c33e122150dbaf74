"""`RowRecurrentConfig`: the settings of the classifier that reads a picture row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.models.row_recurrent.model import RowRecurrent


class RowRecurrentConfig(Config):
    """Each row of the picture is one step of a recurrent network; its last state names the class."""

    kind: Literal["row_recurrent"] = Field(default="row_recurrent", description="Which architecture this is.")
    cell: Literal["rnn", "lstm", "gru"] = Field(default="lstm", description="The recurrent cell.")
    n_embd: int = Field(default=64, ge=1, description="Width of the state.")
    n_layer: int = Field(default=1, ge=1, description="Recurrent layers.")
    pdrop: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Dropout between the layers and before the classes."
    )

    # Nothing has to divide anything.
    divisible: ClassVar[dict[str, str]] = {}

    def build(self, image_px: int, classes: int, fetch: bool = True) -> RowRecurrent:
        """A new model of grey pictures of `image_px` x `image_px`; there is nothing that `fetch` could fetch."""
        del fetch
        from fusegpt.models.row_recurrent.model import RowRecurrent

        return RowRecurrent(self, image_px, classes)
