"""The optimiser: what decays, and how the rate goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fusegpt.models import FusionConfig
from fusegpt.training.config import TrainingConfig
from fusegpt.training.optim import build_optimizer, decay_groups, lr_at


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, 4, 8))
        self.tokens = nn.Embedding(5, 8)
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.gru = nn.GRUCell(8, 8)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def test_only_matrices_decay() -> None:
    decayed, kept = decay_groups(Mixed())
    assert decayed == ["conv.weight", "gru.weight_ih", "gru.weight_hh"]
    assert kept == [
        "pos_emb", "tokens.weight", "conv.bias", "norm.weight", "norm.bias", "gru.bias_ih", "gru.bias_hh",
    ]  # fmt: skip


def test_every_trained_parameter_of_the_fusion_model_is_in_one_group() -> None:
    model = FusionConfig(image_encoder="convnext_atto", lidar_encoder="convnext_atto", n_embd=8, n_head=2).build()
    decayed, kept = decay_groups(model)
    assert sorted(decayed + kept) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
    assert not [name for name in decayed if "norm" in name or "pos_emb" in name or name.endswith("bias")]


def test_the_groups_have_their_decay() -> None:
    optimizer = build_optimizer(Mixed(), TrainingConfig(weight_decay=0.3))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_the_rate_rises_then_falls_to_its_end() -> None:
    config = TrainingConfig(lr=1.0, warmup_fraction=0.1, min_lr_fraction=0.05)
    rates = [lr_at(step, 100, config) for step in range(100)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.2
    assert rates[10] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.05)


def test_the_inverse_root_is_that_of_the_first_transformer() -> None:
    config = TrainingConfig(lr=1.0, schedule="inverse_sqrt", warmup_fraction=0.09, min_lr_fraction=0.0)
    rates = [lr_at(step, 100, config) for step in range(100)]
    paper = [min(step**-0.5, step * 10**-1.5) for step in range(1, 101)]  # warmup_steps = 10
    assert rates == pytest.approx([rate / max(paper) for rate in paper])


def test_the_inverse_root_falls_no_further_than_it_may() -> None:
    config = TrainingConfig(lr=2.0, schedule="inverse_sqrt", warmup_fraction=0.0, min_lr_fraction=0.5)
    assert [lr_at(step, 9, config) for step in (0, 3, 8)] == [2.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.9])
def test_a_very_short_training_has_a_rate(steps: int, warmup: float, schedule: str) -> None:
    config = TrainingConfig.model_validate({"lr": 1.0, "warmup_fraction": warmup, "schedule": schedule})
    assert all(0 < lr_at(step, steps, config) <= 1 for step in range(steps))
