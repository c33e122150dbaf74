"""The converter of published weights: strict, and safe to point at a file."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusegpt.models.fusion import checkpoints
from fusegpt.models.fusion.checkpoints import CheckpointError, State, convert, load, read, translate
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.model import FusionModel

TINY = {
    "image_encoder": "test_resnet",
    "lidar_encoder": "test_resnet",
    "n_embd": "match",
    "n_head": 4,
    "n_layer": 1,
    "image_anchors": (2, 3),
    "lidar_anchors": (2, 2),
}


def _model(**settings: object) -> FusionModel:
    torch.manual_seed(3)
    return FusionConfig.model_validate({**TINY, **settings}).build()


def _unfused(state: State) -> State:
    """A state dict with the originals' three projections in place of the fused one."""
    apart: State = {}
    for name, tensor in state.items():
        if ".qkv." in name:
            for one, part in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                apart[name.replace("qkv", one)] = part.clone()
        else:
            apart[name] = tensor.clone()
    return apart


def _renamed(state: State, pairs: list[tuple[str, str]]) -> State:
    renamed: State = {}
    for name, tensor in _unfused(state).items():
        for pattern, theirs in pairs:
            name = re.sub(f"^{pattern}", theirs, name)
        renamed[name] = tensor
    return renamed


def _stage_from_zero(state: State, wrapper: str) -> State:
    """carla_garage's and NAVSIM's names of the encoders and GPTs."""
    names = {"gpt": "transformers", "lidar_in": "lidar_channel_to_img", "lidar_out": "img_channel_to_lidar"}
    renamed: State = {}
    for name, tensor in _unfused(state).items():
        if name.startswith("backbone."):
            name = re.sub(
                r"fusions\.(\d)\.(gpt|lidar_in|lidar_out)\.",
                lambda found: f"{names[found[2]]}.{int(found[1]) - 1}.",
                name.removeprefix("backbone.").replace("_encoder.net.", "_encoder."),
            )
            renamed[wrapper + name] = tensor
    return renamed


CVPR2021 = [
    (r"backbone\.image_encoder\.net\.", "encoder.image_encoder.features."),
    (r"backbone\.lidar_encoder\.net\.", "encoder.lidar_encoder._model."),
    (r"backbone\.fusions\.(\d)\.gpt\.", r"encoder.transformer\1."),
    (r"neck\.(image|lidar)\.", r"encoder.change_channel_conv_\1."),
    (r"waypoints\.", ""),
]
PAMI2022 = [
    *((pattern, theirs.replace("encoder.", "_model.", 1)) for pattern, theirs in CVPR2021),
    (r"pyramid\.", "_model."),
    (r"auxiliary\.bev_semantics\.layers\.", "pred_bev."),
    (r"auxiliary\.semantics\.", "seg_decoder."),
    (r"auxiliary\.depth\.", "depth_decoder."),
]


def _same(found: State, model: FusionModel, part: str = "") -> bool:
    expected = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(part)}
    return set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def test_cvpr2021_names_are_translated() -> None:
    model = _model(decoder="add")
    assert _same(translate(_renamed(model.state_dict(), CVPR2021), model, "cvpr2021"), model)


def _published_2022(model: FusionModel) -> State:
    """What the 2022 code would have saved of this model: third output, turned target point, DDP's prefix."""
    state = model.state_dict()
    state["waypoints.output.weight"] = torch.cat([state["waypoints.output.weight"], torch.randn(1, 64)])
    state["waypoints.output.bias"] = torch.cat([state["waypoints.output.bias"], torch.randn(1)])
    state["waypoints.decoder.weight_ih"] = state["waypoints.decoder.weight_ih"] * torch.tensor([1, 1, 1, -1])
    return {f"module.{name}": tensor for name, tensor in _renamed(state, PAMI2022).items()}


def test_pami2022_names_and_heads_are_translated() -> None:
    model = _model(auxiliary=("bev_semantics", "depth", "semantics"))
    assert _same(translate(_published_2022(model), model, "pami2022"), model)


def test_the_2022_detection_head_is_left_over_until_it_is_named() -> None:
    model = _model(auxiliary=("bev_semantics", "depth", "semantics"))
    state = {**_published_2022(model), "module.head.wh_head.0.weight": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"1 left over: module\.head\.wh_head\.0\.weight.* name in `drop`"):
        translate(state, model, "pami2022")
    assert _same(translate(state, model, "pami2022", drop=["head."]), model)


@pytest.mark.parametrize(
    ("dialect", "wrapper"),
    [("carla_garage", "module.backbone."), ("navsim", "agent._transfuser_model._backbone.")],
)
def test_stages_counted_from_zero_are_translated(dialect: checkpoints.Dialect, wrapper: str) -> None:
    model = _model(channel_projections="always")
    state = _stage_from_zero(model.state_dict(), wrapper)
    planner = {"agent._transfuser_model._trajectory_head.0.weight": torch.zeros(1), "module.join.x": torch.zeros(1)}
    pyramid = {f"{wrapper}up_conv5.weight": torch.zeros(64, 64, 3, 3)}
    assert _same(translate({**state, **planner, **pyramid}, model, dialect), model, "backbone.")


def test_what_is_unknown_within_the_backbone_is_told() -> None:
    model = _model(channel_projections="always")
    state = _stage_from_zero(model.state_dict(), "agent._transfuser_model._backbone.")
    state["agent._transfuser_model._backbone.lidar_latent"] = torch.zeros(1, 2, 4, 4)
    with pytest.raises(CheckpointError, match=r"1 left over: agent\._transfuser_model\._backbone\.lidar_latent"):
        translate(state, model, "navsim")


def test_missing_and_misshapen_names_are_all_listed() -> None:
    model = _model(decoder="add")
    state = _renamed(model.state_dict(), CVPR2021)
    del state["join.0.bias"], state["encoder.transformer2.blocks.0.attn.key.weight"]
    state["output.weight"] = torch.zeros(5, 64)
    with pytest.raises(CheckpointError) as told:
        translate(state, model, "cvpr2021")
    for part in (
        "2 missing: backbone.fusions.2.gpt.blocks.0.attn.qkv.weight, waypoints.join.0.bias",
        "2 left over: backbone.fusions.2.gpt.blocks.0.attn.query.weight",
        "1 of another shape: waypoints.output.weight (5, 64), not (2, 64)",
        "preset of cvpr2021",
    ):
        assert part in str(told.value)


def test_counters_of_batches_may_be_missing() -> None:
    model = _model(decoder="add")
    state = _renamed(model.state_dict(), CVPR2021)
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state)
    assert _same(translate(older, model, "cvpr2021"), model)


@pytest.mark.parametrize(
    ("encoder", "original", "timm_name"),
    [
        ("regnety_002", "conv1.weight", "stem.conv.weight"),
        ("regnety_002", "layer3.b2.conv1.bn.weight", "s3.b2.conv1.bn.weight"),
        ("convnext_atto", "stem.1.bias", "stem_1.bias"),
        ("convnext_atto", "layer2.blocks.0.norm.weight", "stages_1.blocks.0.norm.weight"),
        ("convnext_atto", "stages.3.blocks.0.norm.weight", "stages_3.blocks.0.norm.weight"),
    ],
)
def test_the_last_alias_of_a_tensor_counts(encoder: str, original: str, timm_name: str) -> None:
    model = _model(image_encoder=encoder, fusion="late", velocity=False)
    ours = model.state_dict()
    state = _renamed(ours, CVPR2021)
    name = f"encoder.image_encoder.features.{original}"
    aliased = {**state, name: ours[f"backbone.image_encoder.net.{timm_name}"] + 1}
    found = translate(aliased, model, "cvpr2021", parts=("backbone",))
    assert torch.equal(found[f"backbone.image_encoder.net.{timm_name}"], aliased[name])


def test_a_file_fills_the_model(tmp_path: Path) -> None:
    source, target = _model(decoder="add").eval(), _model(decoder="add", embd_pdrop=0.0).eval()
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.zero_()
    save_file(_renamed(source.state_dict(), CVPR2021), tmp_path / "published.safetensors")
    load(target, tmp_path / "published.safetensors", "cvpr2021")
    batch = torch.zeros(1, 3, 64, 96), torch.rand(1, 2, 64, 64), torch.ones(1, 1), torch.ones(1, 2)
    with torch.no_grad():
        assert torch.equal(source(*batch)["waypoints"], target(*batch)["waypoints"])


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pt", ".bin"])
def test_a_pickle_is_refused_unread_with_the_command_that_converts_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    with pytest.raises(CheckpointError, match=rf"pickle.*checkpoints {re.escape(str(path))} .*model\.safetensors"):
        read(path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(b"\x10")
    with pytest.raises(CheckpointError, match=r"short\.safetensors"):
        read(path)


@pytest.mark.parametrize("wrapped", [False, True])
def test_convert_keeps_names_and_values(wrapped: bool, tmp_path: Path) -> None:
    weight = torch.randn(3, 3)
    state = OrderedDict([("a.weight", weight), ("alias.weight", weight), ("a.t", weight.t())])
    torch.save({"epoch": 3, "state_dict": state} if wrapped else state, tmp_path / "model.pth")
    status = checkpoints.main([str(tmp_path / "model.pth"), str(tmp_path / "model.safetensors")])
    assert status == 0
    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == set(state)
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pth", "model.safetensors"]


class _Trap:
    """Unpickled by a reader that runs code, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.trace,))


def test_convert_runs_no_code_of_the_pickle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "config": _Trap(tmp_path / "trace")}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"model\.pth: no checkpoint of tensors alone"):
        convert(tmp_path / "model.pth", tmp_path / "model.safetensors")
    assert checkpoints.main([str(tmp_path / "model.pth"), str(tmp_path / "model.safetensors")]) == 2
    assert "model.pth" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "trace").exists()


def test_convert_wants_a_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        convert(tmp_path / "list.pth", tmp_path / "list.safetensors")


def test_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.main([]) == 2
    assert "SOURCE.pth TARGET.safetensors" in capsys.readouterr().err
