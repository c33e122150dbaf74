"""The Vision Transformer: equal to timm's with its weights, at its own resolution and at another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from fusegpt.config import SettingError
from fusegpt.models.vision_transformer import VisionTransformerConfig
from fusegpt.models.vision_transformer.model import VisionTransformer
from fusegpt.models.vision_transformer.timm_weights import load_timm, renamed
from fusegpt.nn.norm import NORMS

# vit_tiny_patch16 with three of its twelve blocks.
TINY = VisionTransformerConfig(image_channels=3, patch_px=16, n_layer=3, n_head=3, n_embd=192)


def timms(image_px: int = 64, depth: int = 3) -> Any:
    """timm's model with weights such that nothing is hidden by a zero or a one."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=image_px, num_classes=7, depth=depth).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.mark.parametrize("attention", ["sdpa", "math"])
def test_timms_weights_give_timms_logits(attention: str) -> None:
    theirs = timms()
    ours = VisionTransformerConfig(**{**TINY.model_dump(), "attention": attention}).build(64, 7).eval()
    load_timm(ours, theirs.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.classify(pixels), theirs(pixels), atol=1e-5, rtol=1e-5)


def test_positions_are_interpolated_as_timm_interpolates_them() -> None:
    source, larger = timms(64), timms(96)
    from timm.layers import resample_abs_pos_embed

    state = {**source.state_dict(), "pos_embed": resample_abs_pos_embed(source.pos_embed.detach(), (6, 6))}
    larger.load_state_dict(state)
    ours = TINY.build(96, 7).eval()
    load_timm(ours, source.state_dict())
    learnt_small = TINY.build(64, 7).eval()
    load_timm(learnt_small, source.state_dict())
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected = larger(pixels)
        torch.testing.assert_close(ours.classify(pixels), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(learnt_small.classify(pixels), expected, atol=1e-4, rtol=1e-4)


def test_a_file_of_weights_is_the_start_of_a_model_with_other_classes(tmp_path: Path) -> None:
    theirs = timms()
    save_file(theirs.state_dict(), tmp_path / "vit.safetensors")
    config = TINY.model_copy(update={"pretrained": str(tmp_path / "vit.safetensors")})
    model = config.build(64, 10)
    expected = renamed(theirs.state_dict())
    assert torch.equal(model.state_dict()["blocks.2.mlp.0.weight"], expected["blocks.2.mlp.0.weight"])
    assert model.head.out_features == 10
    fresh = config.build(64, 10, fetch=False)
    assert not torch.equal(fresh.state_dict()["patches.weight"], expected["patches.weight"])


def test_weights_of_another_size_are_refused_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "vit.safetensors"
    save_file(timms(depth=2).state_dict(), file)
    with pytest.raises(SettingError, match=r"model\.pretrained: .*vit\.safetensors.*blocks\.2\.attn\.proj\.bias is in"):
        TINY.model_copy(update={"pretrained": str(file)}).build(64, 7)
    file.write_bytes(b"nothing")
    with pytest.raises(SettingError, match=r"model\.pretrained: .* cannot be read as safetensors"):
        TINY.model_copy(update={"pretrained": str(file)}).build(64, 7)


@pytest.mark.parametrize("name", NORMS)
def test_every_norm_passes_a_gradient_to_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    config = VisionTransformerConfig(n_layer=2, n_embd=16, n_head=2, norm=name)  # type: ignore[arg-type]
    model = config.build(28, 10)
    with torch.no_grad():
        model.cls_token.add_(torch.randn_like(model.cls_token))
    model(torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_patches_that_do_not_fit_are_refused_by_the_setting() -> None:
    with pytest.raises(SettingError, match=r"model\.patch_px: pictures of 28 pixels"):
        VisionTransformer(VisionTransformerConfig(patch_px=5), 28, 10)


def test_timms_weights_need_timms_norm() -> None:
    with pytest.raises(ValidationError, match=r"model\.norm must be layernorm"):
        VisionTransformerConfig(norm="rmsnorm", pretrained="vit.safetensors")
