"""`VisionTransformerConfig`: the settings of the Vision Transformer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from fusegpt.nn.config import NormName

if TYPE_CHECKING:
    from fusegpt.models.vision_transformer.model import VisionTransformer

Dropout = Annotated[float, Field(ge=0, lt=1)]


class VisionTransformerConfig(Config):
    """A picture as a sequence of patches (Dosovitskiy et al., An Image is Worth 16x16 Words, 2021).

    n_embd 192, n_head 3, n_layer 12, patch_px 16 and image_channels 3 are timm's vit_tiny_patch16.
    """

    kind: Literal["vision_transformer"] = Field(default="vision_transformer", description="Which architecture this is.")
    image_channels: Literal[1, 3] = Field(default=1, description="Channels of the picture: grey or RGB.")
    patch_px: int = Field(default=7, ge=1, description="Height and width of a patch in pixels.")
    n_layer: int = Field(default=4, ge=1, description="Number of blocks.")
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
    pretrained: str = Field(
        default="", description="A safetensors file of timm's ViT of this size to start from, its classes left out."
    )

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> VisionTransformerConfig:
        if self.n_embd % self.n_head:
            raise ValueError(f"model.n_embd ({self.n_embd}) must be a multiple of model.n_head ({self.n_head})")
        if self.pretrained and self.norm != "layernorm":
            raise ValueError(f"model.norm must be layernorm for timm's weights (model.pretrained), not {self.norm}")
        return self

    def build(self, image_px: int, classes: int, fetch: bool = True) -> VisionTransformer:
        """A new model of pictures of `image_px` x `image_px`; `fetch=False` leaves out what `pretrained` would load.

        Raises SettingError naming `model.patch_px` or `model.pretrained`.
        """
        from fusegpt.models.vision_transformer.model import VisionTransformer
        from fusegpt.models.vision_transformer.timm_weights import load_timm_file

        model = VisionTransformer(self, image_px, classes)
        if self.pretrained and fetch:
            load_timm_file(model, Path(self.pretrained).expanduser())
        return model
