"""`TextToImageConfig`: the settings of the discrete VAE and of the prior over its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from fusegpt.nn.config import NormName, require_by_token

if TYPE_CHECKING:
    from fusegpt.models.text_to_image.model import TextToImage

Dropout = Annotated[float, Field(ge=0, lt=1)]


class TextToImageConfig(Config):
    """A picture as a grid of codes, told from its caption (Ramesh et al., Zero-Shot Text-to-Image Generation, 2021).

    First the VAE learns to give back the picture; then it rests, and the GPT learns to tell its codes.
    """

    kind: Literal["text_to_image"] = Field(default="text_to_image", description="Which architecture this is.")
    codes: int = Field(default=128, ge=2, description="How many codes the VAE has for a patch of the picture.")
    patch_px: Literal[2, 4, 8] = Field(default=4, description="Height and width of the patch that one code stands for.")
    vae_channels: int = Field(default=64, ge=4, description="Channels of the VAE's convolutions at the grid of codes.")
    vae_blocks: int = Field(default=1, ge=0, description="Residual blocks of the VAE's decoder.")
    vae_steps: int = Field(
        default=1000, ge=1, description="Steps of training in which the VAE learns; in those after them, the GPT."
    )
    gumbel_temperature: float = Field(default=0.5, gt=0, description="Temperature at which training draws the codes.")
    kl_weight: float = Field(
        default=1e-3,
        ge=0,
        description="Weight of a code's divergence from the uniform, against its patch's squared error.",
    )
    caption_weight: float = Field(
        default=0.125, ge=0, description="Weight of telling the caption's own words, against telling the codes."
    )
    caption_pdrop: Dropout = Field(
        default=0.1, description="Share of the captions that training hides, which is what guidance needs."
    )
    n_layer: int = Field(default=3, ge=1, description="Number of blocks of the GPT.")
    n_head: int = Field(default=4, ge=1, description="Attention heads of each block.")
    n_embd: int = Field(default=64, ge=1, description="Width of the tokens.")
    block_exp: int = Field(default=4, ge=1, description="How many times wider the MLP of a block is inside.")
    norm: NormName = Field(default="layernorm", description="Norm of the blocks and of their end.")
    embd_pdrop: Dropout = Field(default=0.0, description="Dropout of the tokens that enter the blocks.")
    attn_pdrop: Dropout = Field(default=0.0, description="Dropout of the attention weights.")
    resid_pdrop: Dropout = Field(default=0.0, description="Dropout of what attention and MLP add.")
    attention: Literal["sdpa", "math"] = Field(
        default="sdpa", description="PyTorch's fused attention, or the softmax written out (the reference)."
    )

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> TextToImageConfig:
        if self.n_embd % self.n_head:
            raise ValueError(f"model.n_embd ({self.n_embd}) must be a multiple of model.n_head ({self.n_head})")
        require_by_token(self.norm, "and would show each token those after it")
        return self

    def build(self, image_px: int, words: int, max_words: int, fetch: bool = True) -> TextToImage:
        """A new model of square pictures and captions of up to `max_words` of `words` words, number 0 being none."""
        del fetch
        from fusegpt.models.text_to_image.model import TextToImage

        return TextToImage(self, image_px, words, max_words)
