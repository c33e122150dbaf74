"""`SequenceConfig`: one of six ways to tell the next token from those before it, chosen by `model.cell`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config

if TYPE_CHECKING:
    from fusegpt.models.sequence.model import SequenceModel

Cell = Literal["markov", "window", "rnn", "lstm", "gru", "gpt"]


class SequenceConfig(Config):
    """Sequence models that can be rows of one comparison.

    A setting has effect where the cell has such a part: heads and positions in gpt, the window in window, layers in
    rnn, lstm, gru and gpt, a width in all but markov.
    """

    kind: Literal["sequence"] = Field(default="sequence", description="Which architecture this is.")
    cell: Cell = Field(
        default="gru", description="Counted pairs (markov), a fixed window, a recurrent cell, or attention (gpt)."
    )
    n_embd: int = Field(default=128, ge=1, description="Width of the tokens and of what is between the layers.")
    n_layer: int = Field(default=2, ge=1, description="Layers of a recurrent cell, blocks of the gpt.")
    n_head: int = Field(default=4, ge=1, description="Attention heads (gpt).")
    window: int = Field(default=8, ge=1, description="How many tokens the fixed window sees (window).")
    block_size: int = Field(default=128, ge=2, description="The longest context, in tokens (gpt).")
    pdrop: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="Dropout between the layers.")
    pseudo_count: float = Field(
        default=4.0, gt=0, description="Where the weight of the single frequencies starts, in observed pairs (markov)."
    )

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> SequenceConfig:
        if self.cell == "gpt" and self.n_embd % self.n_head:
            raise ValueError(f"model.n_embd ({self.n_embd}) must be a multiple of model.n_head ({self.n_head})")
        return self

    def build(self, vocab_size: int, fetch: bool = True) -> SequenceModel:
        """A new model over `vocab_size` tokens; there is nothing that `fetch` could fetch."""
        del fetch
        from fusegpt.models.sequence.cells import build_cell

        return build_cell(self, vocab_size)


class Sampling(Config):
    """How much is written, and how boldly."""

    max_new_tokens: int = Field(default=100, ge=1, le=100_000, description="Tokens that are written.")
    temperature: float = Field(default=0.8, ge=0, description="Above 1 bolder, below 1 safer; 0 takes the likeliest.")
    top_k: int = Field(default=0, ge=0, description="Draw among so many of the likeliest tokens; 0 among all.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Draw among the likeliest that hold this probability.")
    seed: int = Field(default=0, ge=0, description="Seed of the draws: the same prompt, the same answer.")
