"""The settings of the fusion model: what they refuse, and how that is told."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fusegpt.config import SettingError
from fusegpt.models.fusion.config import FusionConfig


@given(n_embd=st.integers(1, 600), n_head=st.integers(1, 16))
def test_exactly_the_widths_that_the_heads_divide_are_accepted(n_embd: int, n_head: int) -> None:
    if n_embd % n_head == 0:
        assert FusionConfig(n_embd=n_embd, n_head=n_head).widths() == (n_embd,) * 4
    else:
        with pytest.raises(ValidationError, match=r"model\.n_embd .* must be a multiple of model\.n_head"):
            FusionConfig(n_embd=n_embd, n_head=n_head)


def test_match_takes_the_channels_of_the_image_branch() -> None:
    config = FusionConfig(image_encoder="regnety_032", n_embd="match", n_head=4, stages=(2, 4))
    assert config.widths() == (216, 1512)


def test_heads_that_do_not_divide_the_matched_channels_are_told_with_both_keys() -> None:
    config = FusionConfig(image_encoder="regnety_032", n_embd="match", n_head=5)
    with pytest.raises(SettingError, match=r"model\.n_embd \(72\) .* model\.n_head \(5\) at stage 1 .*regnety_032"):
        config.build()


def test_heads_may_differ_from_stage_to_stage() -> None:
    assert FusionConfig(n_embd=64, n_head=(1, 2, 4, 8)).heads == (1, 2, 4, 8)
    with pytest.raises(ValidationError, match=r"model\.n_embd \(64\) .*model\.n_head \(3\) at stage 2"):
        FusionConfig(n_embd=64, n_head=(1, 3, 4, 8))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_head": (1, 2)}, r"model\.n_head has 2 numbers for 4 model\.stages"),
        ({"stages": (2, 1)}, r"model\.stages must be in ascending order"),
        ({"stages": (1, 1)}, r"model\.stages names something twice"),
        ({"auxiliary": ("depth", "depth")}, r"model\.auxiliary names something twice"),
        ({"fusion": "latent", "lidar_channels": 1}, r"model\.lidar_channels must be 2"),
        ({"attn_pdrop": 1.0}, "attn_pdrop"),
        ({"image_anchors": (0, 4)}, "image_anchors"),
        ({"stages": ()}, "stages"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        FusionConfig.model_validate(settings)


@pytest.mark.parametrize("key", ["image_encoder", "lidar_encoder"])
def test_an_unknown_encoder_is_named_with_the_nearest_one(key: str) -> None:
    with pytest.raises(SettingError, match=rf"model\.{key}: timm knows no model 'resnet188' \(did you mean resnet18"):
        FusionConfig.model_validate({key: "resnet188"}).build()


def test_an_encoder_that_has_no_stages_is_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.image_encoder: vit_tiny_patch16_224"):
        FusionConfig(image_encoder="vit_tiny_patch16_224").build()


def test_the_config_survives_json() -> None:
    config = FusionConfig(n_head=(1, 2, 4, 8), n_embd="match", auxiliary=("depth",))
    assert FusionConfig.model_validate_json(config.model_dump_json()) == config


def test_every_setting_is_described() -> None:
    assert all(field.description for field in FusionConfig.model_fields.values())


def test_settings_cost_no_heavy_import() -> None:
    code = "import sys, fusegpt.models; assert not {'torch', 'timm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
