"""What the parts of the fusion model promise, beyond what every model does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fusegpt.models.fusion.backbone import StageFusion, resize
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.gpt import FusionGPT
from fusegpt.models.fusion.model import FusionModel, with_coordinates

TINY = FusionConfig(
    image_encoder="test_resnet",
    lidar_encoder="test_resnet",
    n_embd=16,
    n_head=2,
    n_layer=1,
    image_anchors=(2, 3),
    lidar_anchors=(3, 2),
)


def _tiny(**settings: object) -> FusionConfig:
    return FusionConfig.model_validate({**TINY.model_dump(), **settings})


def _batch() -> dict[str, torch.Tensor]:
    return {
        "image": torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8),
        "lidar": torch.rand(2, 2, 64, 64),
        "speed_mps": torch.tensor([[3.0], [8.0]]),
        "target_point": torch.tensor([[20.0, 1.0], [15.0, -4.0]]),
    }


def _waypoints(model: FusionModel, **changed: torch.Tensor) -> torch.Tensor:
    """The model's answer to a batch that is the same every time, but for what is `changed`."""
    torch.manual_seed(7)
    batch = {**_batch(), **changed}
    with torch.no_grad():
        return model.eval()(**batch)["waypoints"]


def test_tokens_come_back_to_the_place_they_left() -> None:
    gpt = FusionGPT(16, 2, TINY).eval()
    gpt.blocks, gpt.ln_f = nn.Sequential(), nn.Identity()
    nn.init.zeros_(gpt.vel_emb.weight)
    image, lidar = torch.randn(2, 16, 2, 3), torch.randn(2, 16, 3, 2)
    image_out, lidar_out = gpt(image, lidar, torch.zeros(2, 1))
    assert torch.equal(image_out, image)
    assert torch.equal(lidar_out, lidar)


def test_the_gpt_starts_as_the_original_does() -> None:
    gpt = FusionGPT(256, 2, _tiny(n_embd=256))
    linears = [module for module in gpt.modules() if isinstance(module, nn.Linear)]
    weights = torch.cat([linear.weight.detach().flatten() for linear in linears])
    assert float(weights.mean().abs()) < 1e-3
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
    assert all(not linear.bias.any() for linear in linears)
    assert not gpt.pos_emb.any()


def test_each_branch_hears_of_the_other() -> None:
    fusion = StageFusion(16, 2, 8, 8, TINY).eval()
    image, lidar = torch.randn(1, 8, 8, 12, requires_grad=True), torch.randn(1, 8, 6, 4, requires_grad=True)
    image_out, lidar_out = fusion(image, lidar, torch.zeros(1, 1))
    assert image_out.shape == image.shape
    assert lidar_out.shape == lidar.shape
    (heard,) = torch.autograd.grad(image_out.sum(), lidar, retain_graph=True)
    assert heard.abs().sum() > 0
    (heard,) = torch.autograd.grad(lidar_out.sum(), image)
    assert heard.abs().sum() > 0


def test_late_fusion_has_no_gpt_but_sees_both_and_the_speed() -> None:
    model = _tiny(fusion="late").build()
    assert not any(isinstance(module, FusionGPT) for module in model.modules())
    before = _waypoints(model)
    assert not torch.equal(before, _waypoints(model, lidar=torch.rand(2, 2, 64, 64)))
    assert not torch.equal(before, _waypoints(model, speed_mps=torch.zeros(2, 1)))


def test_latent_fusion_never_looks_at_the_lidar() -> None:
    model = _tiny(fusion="latent").build()
    assert torch.equal(_waypoints(model), _waypoints(model, lidar=torch.rand(2, 2, 64, 64)))


def test_the_latent_grid_counts_rows_then_columns_from_minus_one_to_one() -> None:
    grid = with_coordinates(torch.rand(2, 3, 4, 5))
    assert grid[1, 0, :, 2].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert grid[1, 1, 3].tolist() == pytest.approx([-1, -0.5, 0, 0.5, 1])


def test_the_third_channel_of_the_latent_model_stays() -> None:
    lidar = torch.rand(2, 3, 4, 5)
    assert torch.equal(with_coordinates(lidar)[:, 2], lidar[:, 2])


def test_without_velocity_the_speed_changes_nothing() -> None:
    model = _tiny(velocity=False).build()
    assert torch.equal(_waypoints(model), _waypoints(model, speed_mps=torch.zeros(2, 1)))


def test_the_target_point_is_told_to_the_decoder() -> None:
    for decoder in ("concat", "add"):
        model = _tiny(decoder=decoder).build()
        assert not torch.equal(_waypoints(model), _waypoints(model, target_point=torch.zeros(2, 2)))


def test_a_decoder_that_says_nothing_leaves_the_constant_velocity_prior() -> None:
    model = _tiny(waypoint_prior="constant_velocity", waypoint_interval_s=0.25, waypoints=3).build()
    nn.init.zeros_(model.waypoints.output.weight)
    nn.init.zeros_(model.waypoints.output.bias)
    assert _waypoints(model).tolist() == [[[0.75, 0], [1.5, 0], [2.25, 0]], [[2, 0], [4, 0], [6, 0]]]


def test_waypoints_are_told_from_the_lidar_ahead_of_the_vehicle() -> None:
    at_origin, ahead = TINY.build(), _tiny(lidar_x_m=1.3).build()
    ahead.load_state_dict(at_origin.state_dict())
    moved = _waypoints(at_origin) - _waypoints(ahead)
    torch.testing.assert_close(moved, torch.tensor([1.3, 0.0]).expand(2, 4, 2))


def test_auxiliary_heads_exist_only_when_asked_for() -> None:
    plain = TINY.build()
    assert plain.pyramid is None
    assert len(plain.auxiliary) == 0
    assert _tiny(auxiliary=("depth",)).build().pyramid is None


def test_depth_is_a_share() -> None:
    with torch.no_grad():
        depth = _tiny(auxiliary=("depth",)).build().eval()(**_batch())["depth"]
    assert 0 <= float(depth.min()) <= float(depth.max()) <= 1


def test_any_image_size_goes_in() -> None:
    batch = {**_batch(), "image": torch.randint(0, 256, (2, 3, 72, 104), dtype=torch.uint8)}
    outputs = _tiny(auxiliary=("semantics",)).build()(**batch)
    assert outputs["semantics"].shape == (2, 7, 72, 104)


def test_resizing_to_the_same_size_hands_the_map_on() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x
