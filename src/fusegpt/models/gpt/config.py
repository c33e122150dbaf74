"""`GPTConfig`: the settings of the causal GPT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from fusegpt.nn.config import LoraConfig, NormName, require_by_token

if TYPE_CHECKING:
    from fusegpt.models.gpt.model import GPT

Dropout = Annotated[float, Field(ge=0, lt=1)]


class GPTConfig(Config):
    """The GPT-2 family (Radford et al., Language Models are Unsupervised Multitask Learners, 2019)."""

    kind: Literal["gpt"] = Field(default="gpt", description="Which architecture this is.")
    block_size: int = Field(default=128, ge=2, description="The longest context, in tokens: so many learnt positions.")
    n_layer: int = Field(default=4, ge=1, description="Number of blocks.")
    n_head: int = Field(default=4, ge=1, description="Attention heads of each block.")
    n_embd: int = Field(default=128, ge=1, description="Width of the tokens.")
    block_exp: int = Field(default=4, ge=1, description="How many times wider the MLP of a block is inside.")
    norm: NormName = Field(default="layernorm", description="Norm of the blocks and of their end.")
    embd_pdrop: Dropout = Field(default=0.0, description="Dropout of the tokens that enter the blocks.")
    attn_pdrop: Dropout = Field(default=0.0, description="Dropout of the attention weights.")
    resid_pdrop: Dropout = Field(default=0.0, description="Dropout of what attention and MLP add.")
    attention: Literal["sdpa", "math"] = Field(
        default="sdpa", description="PyTorch's fused attention, or the softmax written out (the reference)."
    )
    pretrained: str = Field(
        default="", description="The folder that it starts from: a Hugging Face GPT-2, or a trial's best/."
    )
    lora: LoraConfig = Field(default=LoraConfig(), description="Learn adapters alone, the rest as it was loaded.")

    # What a search must keep divisible: the key, and the setting that divides it.
    divisible: ClassVar[dict[str, str]] = {"model.n_embd": "model.n_head"}

    @model_validator(mode="after")
    def _fits(self) -> GPTConfig:
        if self.n_embd % self.n_head:
            raise ValueError(f"model.n_embd ({self.n_embd}) must be a multiple of model.n_head ({self.n_head})")
        if self.lora.checkpoint == "adapters" and not (self.lora.rank and self.pretrained):
            raise ValueError("model.lora.checkpoint: adapters needs model.lora.rank above 0 and model.pretrained")
        require_by_token(self.norm, "and would show each token those after it")
        return self

    def build(self, vocab_size: int, fetch: bool = True) -> GPT:
        """A new model over `vocab_size` tokens; `fetch=False` leaves out what `pretrained` would load.

        It does not where a checkpoint holds adapters alone, for they are nothing without what they were learnt on.

        Raises SettingError naming `model.pretrained` or `model.lora.targets`.
        """
        from fusegpt.models.gpt.model import GPT
        from fusegpt.models.gpt.pretrained import load_into
        from fusegpt.nn.lora import add_lora

        model = GPT(self, vocab_size)
        if self.pretrained and (fetch or self.lora.checkpoint == "adapters"):
            load_into(model, Path(self.pretrained))
        if self.lora.rank:
            add_lora(model, self.lora)
        return model
