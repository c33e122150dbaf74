"""Parity with the original TransFuser code, forward and gradients, through the checkpoint converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from original import COPIES, TOLERANCE, assert_agrees, original_state, results

from fusegpt.models.fusion.checkpoints import fuse_attention, translate
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.gpt import FusionGPT
from fusegpt.nn.attention import AttentionKernel, SelfAttention
from fusegpt.nn.block import Block


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_attention_and_block_agree_with_the_original(kernel: AttentionKernel) -> None:
    said, arrays = results(COPIES, "attention_block")
    sizes = said["attention"]["n_embd"], said["attention"]["n_head"]
    attention, block = SelfAttention(*sizes, kernel=kernel), Block(*sizes, kernel=kernel)
    for module, key in ((attention, "attention"), (block, "block")):
        module.load_state_dict(fuse_attention(original_state(said[key]["parameters"], said[key]["seed"])))
        assert_agrees(module(arrays["x"]), arrays[f"{key}_out"])


def _gpt(said: dict[str, Any], legacy: bool, kernel: AttentionKernel = "sdpa") -> FusionGPT:
    config = FusionConfig(
        n_embd=said["n_embd"],
        n_head=said["n_head"],
        n_layer=said["n_layer"],
        image_anchors=said["image_anchors"],
        lidar_anchors=said["lidar_anchors"],
        legacy_token_layout=legacy,
        attention=kernel,
    )
    gpt = FusionGPT(said["n_embd"], said["n_head"], config)
    gpt.load_state_dict(fuse_attention(original_state(said["parameters"], said["seed"])))
    return gpt.eval()


def _check_gpt(folder: Path, name: str, kernel: AttentionKernel) -> None:
    said, arrays = results(folder, name)
    image, velocity = arrays["image"].requires_grad_(), arrays["velocity"].requires_grad_()
    gpt = _gpt(said, legacy=False, kernel=kernel)
    image_out, lidar_out = gpt(image, arrays["lidar"], velocity)
    assert_agrees(image_out, arrays["image_out"])
    assert_agrees(lidar_out, arrays["lidar_out"])

    loss = (image_out * arrays["loss_weight_image"]).sum() + (lidar_out * arrays["loss_weight_lidar"]).sum()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(said["loss"], rel=TOLERANCE)
    assert image.grad is not None
    assert velocity.grad is not None
    assert_agrees(image.grad, arrays["grad_image"])
    assert_agrees(velocity.grad, arrays["grad_velocity"])
    norms = _gradient_norms(gpt)
    largest = max(said["grad_norms"].values())
    assert norms == pytest.approx(said["grad_norms"], abs=TOLERANCE * largest)


def _gradient_norms(gpt: FusionGPT) -> dict[str, float]:
    """The norms of the gradients under the original's names: those of query, key and value one by one."""
    norms = {}
    for name, parameter in gpt.named_parameters():
        assert parameter.grad is not None
        if ".qkv." in name:
            for one, grad in zip(("query", "key", "value"), parameter.grad.chunk(3), strict=True):
                norms[name.replace("qkv", one)] = float(grad.norm())
        else:
            norms[name] = float(parameter.grad.norm())
    return norms


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_the_small_gpt_and_its_gradients_agree_with_the_original(kernel: AttentionKernel) -> None:
    _check_gpt(COPIES, "gpt_small", kernel)


def test_the_wide_gpt_and_its_gradients_agree_with_the_original(reference_results: Path) -> None:
    _check_gpt(reference_results, "gpt_wide", "sdpa")


def _check_legacy_layout(folder: Path, name: str) -> None:
    said, arrays = results(folder, name)
    image_out, lidar_out = _gpt(said, legacy=True)(arrays["image"], arrays["lidar"], arrays["velocity"])
    assert_agrees(image_out, arrays["image_out_2022"])
    assert_agrees(lidar_out, arrays["lidar_out_2022"])


def test_the_legacy_token_layout_is_that_of_the_2022_code() -> None:
    _check_legacy_layout(COPIES, "gpt_small")


def test_the_legacy_token_layout_is_that_of_the_2022_code_in_the_wide_gpt(reference_results: Path) -> None:
    _check_legacy_layout(reference_results, "gpt_wide")


@pytest.mark.parametrize("encoder", ["resnet18", "regnety_002"])
def test_the_whole_backbone_agrees_with_the_original(encoder: str, reference_results: Path) -> None:
    said, arrays = results(reference_results, f"backbone_{encoder}")
    config = FusionConfig(
        image_encoder=encoder,
        lidar_encoder=encoder,
        image_anchors=said["anchors"][:2],
        lidar_anchors=said["anchors"][2:],
        n_embd="match",
        n_head=said["n_head"],
        n_layer=said["n_layer"],
        auxiliary=("bev_semantics",),
    )
    model = config.build().eval()
    state = original_state(said["parameters"], said["seed"])
    parts = ("backbone", "neck", "pyramid")
    model.load_state_dict({**model.state_dict(), **translate(state, model, "pami2022", parts=parts)})
    with torch.no_grad():
        maps = model.backbone(arrays["image"], arrays["lidar"], arrays["velocity"])
        fused, image_grid, lidar_grid = model.neck(*maps)
        assert model.pyramid is not None
        pyramid = model.pyramid(lidar_grid)
    assert_agrees(fused, arrays["fused"])
    assert_agrees(image_grid, arrays["image_grid"])
    assert_agrees(pyramid["p5"], arrays["p5"])
    assert_agrees(pyramid["p2"][:, :8], arrays["p2"])


@pytest.mark.parametrize(("lidar_x_m", "expected"), [(0.0, "waypoints_vehicle"), (1.3, "waypoints_lidar")])
def test_the_waypoint_decoder_agrees_with_the_original(lidar_x_m: float, expected: str) -> None:
    said, arrays = results(COPIES, "gru_waypoints")
    model = FusionConfig(lidar_x_m=lidar_x_m, fusion="late").build().eval()
    state = original_state(said["parameters"], said["seed"])
    model.load_state_dict({**model.state_dict(), **translate(state, model, "pami2022", parts=("waypoints",))})
    waypoints = model.decode(arrays["features"], torch.zeros(3, 1), arrays["target_point"])
    assert_agrees(waypoints, arrays[expected])


def test_the_copied_results_are_the_published_ones(reference_results: Path) -> None:
    copied = [path for path in COPIES.iterdir() if path.suffix in (".json", ".npz")]
    assert len(copied) == 7
    for path in copied:
        assert path.read_bytes() == (reference_results / path.name).read_bytes(), path.name
