"""One suite over all models: shapes, gradients, determinism, saving, learning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.model import FusionModel

SMALL = {"n_embd": 16, "n_head": 2, "n_layer": 1, "image_anchors": (2, 3), "lidar_anchors": (2, 2)}
EVERYTHING = ("bev_semantics", "depth", "semantics")


def _small(**settings: object) -> FusionConfig:
    """A small model; timm's own test networks stand in where the encoder is not what the row is about."""
    return FusionConfig.model_validate(
        {**SMALL, "image_encoder": "test_resnet", "lidar_encoder": "test_convnext", **settings}
    )


MODELS = {
    "resnet18": _small(image_encoder="resnet18", lidar_encoder="resnet18"),
    "regnety_002": _small(image_encoder="regnety_002", lidar_encoder="regnety_002"),
    "convnext_atto": _small(image_encoder="convnext_atto", lidar_encoder="convnext_atto"),
    "match": _small(n_embd="match", n_head=(1, 2, 4, 8)),
    "late": _small(fusion="late"),
    "late without speed": _small(fusion="late", velocity=False),
    "latent": _small(fusion="latent"),
    "one stage": _small(stages=(3,), norm="rmsnorm", activation="gelu", velocity=False),
    "auxiliary": _small(auxiliary=EVERYTHING),
    "prior": _small(waypoint_prior="constant_velocity", decoder="add", attention="math", waypoints=6),
    "other channels": _small(image_channels=1, lidar_channels=5, n_features=128, normalization="unit"),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=sorted(MODELS))
def config(request: pytest.FixtureRequest) -> FusionConfig:
    return MODELS[request.param]


def _batch(config: FusionConfig, size: int = 2) -> dict[str, torch.Tensor]:
    return {
        "image": torch.randint(0, 256, (size, config.image_channels, 32, 64), dtype=torch.uint8),
        "lidar": torch.rand(size, config.lidar_channels, 64, 64),
        "speed_mps": torch.rand(size, 1) * 10,
        "target_point": torch.randn(size, 2) * 10,
    }


def _awake(model: FusionModel) -> FusionModel:
    """The model without zeros that a fresh one has by design (last norms of residual branches, positions)."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


def test_the_outputs_have_their_shapes(config: FusionConfig) -> None:
    outputs = config.build()(**_batch(config))
    shapes = {
        "waypoints": (2, config.waypoints, 2),
        "bev_semantics": (2, config.bev_classes, 64, 64),
        "depth": (2, 32, 64),
        "semantics": (2, config.semantics_classes, 32, 64),
    }
    assert list(outputs) == ["waypoints", *config.auxiliary]
    assert all(outputs[name].shape == shapes[name] for name in outputs)
    assert all(torch.isfinite(output).all() for output in outputs.values())


def test_the_gradient_reaches_every_parameter(config: FusionConfig) -> None:
    model = _awake(config.build())
    sum(output.float().square().sum() for output in model(**_batch(config)).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_evaluation_is_deterministic_and_one_sample_is_as_good_as_many(config: FusionConfig) -> None:
    model = config.build().eval()
    batch = _batch(config)
    with torch.no_grad():
        first, again = model(**batch)["waypoints"], model(**batch)["waypoints"]
        alone = model(**{name: tensor[1:] for name, tensor in batch.items()})["waypoints"]
    assert torch.equal(first, again)
    torch.testing.assert_close(first[1:], alone, atol=1e-4, rtol=1e-4)


def test_a_saved_and_loaded_model_says_the_same(config: FusionConfig, tmp_path: Path) -> None:
    model = _awake(config.build()).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded = config.build(fetch=False).eval()
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    batch = _batch(config)
    with torch.no_grad():
        assert torch.equal(model(**batch)["waypoints"], loaded(**batch)["waypoints"])


def test_a_tiny_problem_is_learnt(config: FusionConfig) -> None:
    model = config.build()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = _batch(config, size=4)
    truth = torch.randn(4, config.waypoints, 2).cumsum(1) + 1.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        loss = (model(**batch)["waypoints"] - truth).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-5:]) < 0.6 * losses[0], losses


def test_attention_maps_come_by_stage_and_leave_the_model_as_it_was(config: FusionConfig) -> None:
    model = config.build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    maps = model.attention_maps(**_batch(config))
    stages = 0 if config.fusion == "late" else len(config.stages)
    tokens = 2 * 3 + 2 * 2
    expected = [(2, config.n_layer, n_head, tokens, tokens) for n_head in config.heads[:stages]]
    assert [tuple(one.shape) for one in maps] == expected
    assert all(torch.allclose(one.sum(-1), torch.ones(())) for one in maps)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_waypoints_stay_float32_under_bf16_autocast(config: FusionConfig) -> None:
    model, batch = config.build().eval(), _batch(config)
    with torch.no_grad():
        exact = model(**batch)["waypoints"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(**batch)["waypoints"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0.1)


def test_channels_last_changes_nothing(config: FusionConfig) -> None:
    model, batch = config.build().eval(), _batch(config)
    with torch.no_grad():
        plain = model(**batch)["waypoints"]
        last = model.to(memory_format=torch.channels_last)(**batch)["waypoints"]
    torch.testing.assert_close(plain, last, atol=1e-4, rtol=1e-4)
