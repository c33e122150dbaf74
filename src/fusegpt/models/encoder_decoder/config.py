"""`EncoderDecoderConfig`: the settings of the encoder-decoder Transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from fusegpt.nn.config import NormName, PositionName, require_by_token

if TYPE_CHECKING:
    from fusegpt.models.encoder_decoder.model import EncoderDecoder

Dropout = Annotated[float, Field(ge=0, lt=1)]


class EncoderDecoderConfig(Config):
    """The Transformer of translation (Vaswani et al., Attention Is All You Need, 2017)."""

    kind: Literal["encoder_decoder"] = Field(default="encoder_decoder", description="Which architecture this is.")
    block_size: int = Field(default=96, ge=2, description="The longest source and the longest target, in tokens.")
    n_layer: int = Field(default=2, ge=1, description="Blocks of the encoder, and as many of the decoder.")
    n_head: int = Field(default=4, ge=1, description="Heads of each attention.")
    n_embd: int = Field(default=64, ge=1, description="Width of the tokens.")
    block_exp: int = Field(default=4, ge=1, description="How many times wider the MLP of a block is inside.")
    activation: Literal["relu", "gelu"] = Field(default="relu", description="Activation of the MLP of a block.")
    norm: NormName = Field(default="layernorm", description="Norm of the blocks.")
    norm_place: Literal["post", "pre"] = Field(
        default="pre", description="Norm after each sum (post, as in the paper), or before each part and at the end."
    )
    positions: PositionName = Field(default="sinusoidal", description="How a token's place is told.")
    embd_pdrop: Dropout = Field(default=0.0, description="Dropout of the tokens that enter the blocks.")
    attn_pdrop: Dropout = Field(default=0.0, description="Dropout of the attention weights.")
    resid_pdrop: Dropout = Field(default=0.0, description="Dropout of what attention and MLP add.")
    attention: Literal["sdpa", "math"] = Field(
        default="sdpa", description="PyTorch's fused attention, or the softmax written out (the reference)."
    )

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> EncoderDecoderConfig:
        if self.n_embd % self.n_head:
            raise ValueError(f"model.n_embd ({self.n_embd}) must be a multiple of model.n_head ({self.n_head})")
        require_by_token(self.norm, "and would mix padding and later words into each word")
        return self

    def build(self, vocab_size: int, padding: int) -> EncoderDecoder:
        """A new model over `vocab_size` tokens, of which `padding` stands for none."""
        from fusegpt.models.encoder_decoder.model import EncoderDecoder

        return EncoderDecoder(self, vocab_size, padding)
