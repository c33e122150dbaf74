"""`FusionConfig`: the settings of the fusion model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config, SettingError
from fusegpt.nn.config import NormName

if TYPE_CHECKING:
    from fusegpt.models.fusion.model import FusionModel

Anchors = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Auxiliary = Literal["bev_semantics", "depth", "semantics"]


class FusionConfig(Config):
    """Two image-like branches, joined by a GPT after each stage (Chitta et al., TransFuser, PAMI 2022).

    Settings of the GPT (n_head to attention) have no effect where `fusion` is "late", which has none.
    """

    kind: Literal["fusion"] = Field(default="fusion", description="Which architecture this is.")
    fusion: Literal["transformer", "late", "latent"] = Field(
        default="transformer",
        description="GPTs between the branches; none until the end (late); or GPTs and no LiDAR, image only (latent).",
    )

    image_encoder: str = Field(default="regnety_002", description="timm name of the image branch.")
    lidar_encoder: str = Field(default="regnety_002", description="timm name of the LiDAR branch.")
    pretrained: bool = Field(default=False, description="Start the image branch from timm's published weights.")
    image_channels: int = Field(default=3, ge=1, description="Channels of the image.")
    lidar_channels: int = Field(default=2, ge=1, description="Channels of the LiDAR's bird's-eye view.")
    normalization: Literal["imagenet", "cvpr2021", "unit"] = Field(
        default="imagenet",
        description="What is done to 0..255 pixels: ImageNet's; its statistics without dividing by 255; or only / 255.",
    )

    stages: tuple[Literal[1, 2, 3, 4], ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="After which stages of the encoders a GPT joins the branches."
    )
    image_anchors: Anchors = Field(default=(3, 10), description="Rows and columns of the image's tokens.")
    lidar_anchors: Anchors = Field(default=(8, 8), description="Rows and columns of the LiDAR's tokens.")
    n_embd: Annotated[int, Field(ge=1)] | Literal["match"] = Field(
        default=128, description="Width of every GPT, or match: the image branch's channels at that stage."
    )
    n_head: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=4, description="Attention heads of every GPT, or one number for each of the stages."
    )
    n_layer: int = Field(default=2, ge=1, description="Blocks of each GPT.")
    block_exp: int = Field(default=4, ge=1, description="How many times wider the MLP of a block is inside.")
    activation: Literal["relu", "gelu"] = Field(default="relu", description="Activation of the MLP of a block.")
    norm: NormName = Field(default="layernorm", description="Norm of a block and of its GPT.")
    embd_pdrop: Dropout = Field(default=0.1, description="Dropout of the tokens that enter a GPT.")
    attn_pdrop: Dropout = Field(default=0.1, description="Dropout of the attention weights.")
    resid_pdrop: Dropout = Field(default=0.1, description="Dropout of what attention and MLP add.")
    velocity: bool = Field(default=True, description="Whether the present speed is embedded in the tokens.")
    attention: Literal["sdpa", "math"] = Field(
        default="sdpa", description="PyTorch's fused attention, or the softmax written out (the reference)."
    )
    channel_projections: Literal["auto", "always"] = Field(
        default="auto", description="1x1 LiDAR projections with n_embd match: where channels differ, or always."
    )
    legacy_token_layout: bool = Field(
        default=False, description="Read tokens back as the PAMI 2022 code did, which mixes channels with positions."
    )

    n_features: int = Field(default=512, ge=1, description="Size of the fused features.")
    waypoints: int = Field(default=4, ge=2, description="How many waypoints are predicted.")
    waypoint_interval_s: float = Field(default=0.5, gt=0, description="Seconds between two waypoints.")
    decoder: Literal["concat", "add"] = Field(
        default="concat", description="How the decoder takes the target point: beside the last waypoint, or added."
    )
    waypoint_prior: Literal["none", "constant_velocity"] = Field(
        default="none", description="What the decoder's waypoints are added to: nothing, or straight on at this speed."
    )
    lidar_x_m: float = Field(
        default=0.0, description="How far ahead of the vehicle's origin, where decoding starts, the LiDAR is."
    )
    auxiliary: tuple[Auxiliary, ...] = Field(default=(), description="What else is predicted, where labels exist.")
    bev_classes: int = Field(default=3, ge=2, description="Classes of bev_semantics.")
    semantics_classes: int = Field(default=7, ge=2, description="Classes of semantics.")
    max_depth_m: float = Field(default=50.0, gt=0, description="Depth that the output 1.0 of depth stands for.")

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> FusionConfig:
        for name, values in (("stages", self.stages), ("auxiliary", self.auxiliary)):
            if len(set(values)) != len(values):
                raise ValueError(f"model.{name} names something twice: {list(values)}")
        if list(self.stages) != sorted(self.stages):
            raise ValueError(f"model.stages must be in ascending order, not {list(self.stages)}")
        if isinstance(self.n_head, tuple) and len(self.n_head) != len(self.stages):
            raise ValueError(
                f"model.n_head has {len(self.n_head)} numbers for {len(self.stages)} model.stages: "
                "write one number, or one for each stage"
            )
        if self.fusion == "latent" and self.lidar_channels not in (2, 3):
            raise ValueError(
                f"model.lidar_channels must be 2 with model.fusion latent (3 with 2022's target-point image), "
                f"not {self.lidar_channels}"
            )
        if isinstance(self.n_embd, int) and self.fusion != "late":
            check_heads([self.n_embd] * len(self.stages), self.heads, self.stages)
        return self

    @property
    def heads(self) -> tuple[int, ...]:
        """The number of attention heads of the GPT after each of `stages`."""
        return self.n_head if isinstance(self.n_head, tuple) else (self.n_head,) * len(self.stages)

    def widths(self) -> tuple[int, ...]:
        """The width of the GPT after each of `stages`. With `match` this asks timm; no weights are made.

        Raises SettingError where the encoder is unknown, or its channels are no multiple of the heads.
        """
        from fusegpt.models.fusion.encoders import stage_channels

        if isinstance(self.n_embd, int):
            return (self.n_embd,) * len(self.stages)
        channels = stage_channels(self.image_encoder, "model.image_encoder")
        widths = tuple(channels[stage - 1] for stage in self.stages)
        try:
            check_heads(widths, self.heads, self.stages)
        except ValueError as error:
            raise SettingError(f"{error} (model.n_embd is match: the channels of {self.image_encoder})") from None
        return widths

    def build(self, fetch: bool = True) -> FusionModel:
        """A new model with freshly drawn weights.

        `fetch=False` leaves out what `pretrained` would fetch: for a model whose weights are loaded right after.
        """
        from fusegpt.models.fusion.model import FusionModel

        return FusionModel(self if fetch else self.model_copy(update={"pretrained": False}))


def check_heads(widths: tuple[int, ...] | list[int], heads: tuple[int, ...], stages: tuple[int, ...]) -> None:
    """Raises ValueError where a width is no multiple of its heads."""
    for width, n_head, stage in zip(widths, heads, stages, strict=True):
        if width % n_head:
            raise ValueError(f"model.n_embd ({width}) must be a multiple of model.n_head ({n_head}) at stage {stage}")
