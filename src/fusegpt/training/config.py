"""`TrainingConfig`: how a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fusegpt.config import Config


class TrainingConfig(Config):
    """Optimiser, schedule, precision and length of one training."""

    epochs: int = Field(default=12, ge=1, description="Passes over the training split.")
    batch_size: int = Field(default=32, ge=1, description="Samples a step, over all workers together.")
    lr: float = Field(default=3e-4, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, description="Decay of matrices; none on norms, biases, positions.")
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="Share of the steps with a rising rate.")
    schedule: Literal["cosine", "inverse_sqrt"] = Field(
        default="cosine", description="How the rate falls after the warm-up; inverse_sqrt is the first Transformer's."
    )
    min_lr_fraction: float = Field(
        default=0.05, ge=0, le=1, description="Where the cosine ends, and the least of inverse_sqrt, as a share of lr."
    )
    grad_clip: float = Field(default=1.0, ge=0, description="Largest norm of the gradient; 0 does not clip.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto is bf16 autocast where the device has it in hardware, else fp32."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, order, dropout and augmentation.")
    checkpoint_every_steps: int = Field(
        default=0, ge=0, description="Also keep a checkpoint every so many steps within an epoch; 0 only at its end."
    )
