"""The presets have the originals' sizes."""

from __future__ import annotations

import pytest
import torch

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.model import FusionModel
from fusegpt.models.fusion.presets import PRESETS


def _without_memory(config: FusionConfig) -> FusionModel:
    with torch.device("meta"):
        return config.build()


def _gpt_parameters(model: FusionModel) -> list[int]:
    return [sum(p.numel() for p in fusion.gpt.parameters()) for fusion in model.backbone.fusions.values()]


# Millions of parameters of the GPT after each stage, computed from the originals' code.
SIZES = {
    "cvpr2021": (0.41, 1.60, 6.35, 25.29),
    "pami2022": (0.27, 2.29, 16.06, 110.08),
    "carla_garage": (0.15, 1.20, 8.16, 55.39),
    "navsim": (0.12, 0.44, 1.66, 6.47),
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_gpts_have_the_parameters_of_the_original(name: str) -> None:
    found = _gpt_parameters(_without_memory(PRESETS[name]()))
    assert [count / 1e6 for count in found] == pytest.approx(SIZES[name], abs=0.0055)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_gpts_have_the_parameters_of_the_formula(name: str) -> None:
    config = PRESETS[name]()
    (V, H), (v, h) = config.image_anchors, config.lidar_anchors
    per_channel = 2 + V * H + v * h + 2 * config.velocity
    expected = [config.n_layer * (12 * C**2 + 13 * C) + per_channel * C for C in config.widths()]
    assert _gpt_parameters(_without_memory(config)) == expected


def test_the_2022_model_is_the_published_one_without_its_detection_head() -> None:
    # 168,018,327 trainable parameters are reported for the original (transfuser issue 298). Its detection head has
    # seven branches of a 3x3 and a 1x1 convolution on 64 channels with 21 outputs; its decoder one output more.
    detection = 7 * (64 * 64 * 9 + 64) + 21 * (64 + 1)
    unread_output = 64 + 1
    model = _without_memory(PRESETS["pami2022"]())
    assert sum(p.numel() for p in model.parameters()) == 168_018_327 - detection - unread_output


def test_presets_with_resnet34_have_the_sizes_of_the_2022_code() -> None:
    config = PRESETS["pami2022"]().model_copy(update={"image_encoder": "resnet34", "lidar_encoder": "resnet34"})
    found = _gpt_parameters(_without_memory(config))
    assert [count / 1e6 for count in found] == pytest.approx((0.21, 0.82, 3.20, 12.70), abs=0.0055)
