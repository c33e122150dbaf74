"""Weights of the family's four code bases -> ours: `translate` renames and fuses them, `load` does so from a file.

Nothing is dropped or left at its random value in silence: names that are missing or left over are a CheckpointError.
Weights are read from .safetensors only. `convert` makes one from a published .pth or .ckpt, once, with PyTorch's
restricted unpickler:

    python -m fusegpt.models.fusion.checkpoints model.pth model.safetensors

A model with such weights takes its original's inputs: image, bird's-eye view (its channels and orientation differ
between the four) and target point as that code base prepares them; its waypoints are in that code base's frame.
"""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fusegpt.models.fusion.model import FusionModel

Dialect = Literal["cvpr2021", "pami2022", "carla_garage", "navsim"]
State = dict[str, torch.Tensor]

# What a state dict may be wrapped in: DistributedDataParallel, Lightning, the agent's attribute.
WRAPPERS = ("module.", "agent.", "_transfuser_model.")

# Where each code base keeps what we call backbone, neck and pyramid.
TRUNK: dict[Dialect, str] = {
    "cvpr2021": "encoder.",
    "pami2022": "_model.",
    "carla_garage": "backbone.",
    "navsim": "_backbone.",
}
TRUNK_PARTS = frozenset({"backbone", "neck", "pyramid"})

# What is filled unless told otherwise. The planners of the last two are other architectures than our head.
PARTS: dict[Dialect, tuple[str, ...] | None] = {
    "cvpr2021": None,
    "pami2022": None,
    "carla_garage": ("backbone",),
    "navsim": ("backbone",),
}

# Their name -> ours, the first that matches counts: within the trunk, and beside it.
TRUNK_NAMES = (
    (r"image_encoder\.(features\.)?", r"backbone.image_encoder.net."),
    (r"lidar_encoder\.(_model\.)?", r"backbone.lidar_encoder.net."),
    (r"transformer([1-4])\.", r"backbone.fusions.\1.gpt."),
    (r"change_channel_conv_(image|lidar)\.", r"neck.\1."),
    (r"(c5_conv|up_conv[345])\.", r"pyramid.\1."),
)
HEAD_NAMES = (
    (r"(join|decoder|output)\.", r"waypoints.\1."),
    (r"pred_bev\.", r"auxiliary.bev_semantics.layers."),
    (r"seg_decoder\.", r"auxiliary.semantics."),
    (r"depth_decoder\.", r"auxiliary.depth."),
)
# carla_garage and NAVSIM count the stages from 0.
STAGED_NAMES = {
    "transformers": "gpt",
    "lidar_channel_to_img": "lidar_in",
    "img_channel_to_lidar": "lidar_out",
}
# One tensor under several names (PAMI 2022), or timm's names before and after features_only.
REGNET_ALIASES = ((r"conv1\.", "stem.conv."), (r"bn1\.", "stem.bn."), (r"layer([1-4])\.", r"s\1."))
CONVNEXT_ALIASES = (
    (r"conv1\.", "stem_0."),
    (r"bn1\.", "stem_1."),
    (r"stem\.([01])\.", r"stem_\1."),
    (r"stages\.([0-3])\.", r"stages_\1."),
)


class CheckpointError(ValueError):
    """Weights do not fit, or their file cannot be used; the message lists what, and says what would be right."""


def load(
    model: FusionModel,
    path: Path,
    dialect: Dialect,
    *,
    parts: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> None:
    """Fill `model` from a .safetensors file with the names of `dialect`; see `translate`. Raises CheckpointError."""
    model.load_state_dict({**model.state_dict(), **translate(read(path), model, dialect, parts=parts, drop=drop)})


def read(path: Path) -> State:
    """The tensors of a .safetensors file. Raises CheckpointError; a pickle is refused unread."""
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: only .safetensors is read, as a pickle can run code. Convert it once: "
            f"python -m fusegpt.models.fusion.checkpoints {path} {path.with_suffix('.safetensors')}"
        )
    try:
        state: State = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return state


def convert(source: Path, target: Path) -> None:
    """Write the tensors of a published .pth or .ckpt to `target` (.safetensors), under the names they have.

    Read by PyTorch's restricted unpickler, which makes tensors and plain containers only. Raises CheckpointError.
    """
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{source}: no checkpoint of tensors alone: {error}") from error
    state = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(f"{source}: holds no state dict, which maps names to tensors")
    beside = target.with_name(f".{target.name}.part")
    # One tensor under several names is written out for each: safetensors shares no memory.
    save_file({str(name): value.clone().contiguous() for name, value in state.items()}, beside)
    beside.replace(target)


def translate(
    state: Mapping[str, torch.Tensor],
    model: FusionModel,
    dialect: Dialect,
    *,
    parts: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> State:
    """A state dict of `dialect` under the names of `model`, complete for `parts`.

    parts: modules of `model` to fill ("backbone", "neck", "pyramid", "waypoints", "auxiliary"); by default all, or the
        backbone alone for carla_garage and navsim. What belongs to other parts is left where it is.
    drop: beginnings of the original's names to leave behind (PAMI 2022's detection head: "head.").
    Raises CheckpointError listing what is missing, left over, or of another shape.
    """
    parts = parts or PARTS[dialect]
    renamed: State = {}
    left_over: list[str] = []
    for name, tensor in state.items():
        bare = _unwrap(name)
        if bare.startswith(tuple(drop)):
            continue
        ours = _rename(bare, dialect, model, parts)
        if ours is None:
            left_over.append(name)
        elif _belongs(ours, parts):
            renamed[ours] = tensor
    fused = fuse_attention(renamed)
    if dialect == "pami2022":
        _adapt_pami2022(fused)
    return _complete(fused, left_over, model, dialect, parts)


def _unwrap(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _belongs(name: str, parts: Collection[str] | None) -> bool:
    return parts is None or name.split(".")[0] in parts


def _rename(name: str, dialect: Dialect, model: FusionModel, parts: Collection[str] | None) -> str | None:
    """Our name; "" for what lies outside the wanted parts, None for what we have no name for."""
    trunk = TRUNK[dialect]
    in_trunk = name.startswith(trunk)
    if not in_trunk and (head := _first(HEAD_NAMES, name)):
        return head
    within = _first(TRUNK_NAMES, name.removeprefix(trunk)) or _staged(name.removeprefix(trunk))
    if within:
        return _alias(within, model)
    return "" if not in_trunk and parts is not None and TRUNK_PARTS.issuperset(parts) else None


def _first(patterns: Iterable[tuple[str, str]], name: str) -> str | None:
    for pattern, ours in patterns:
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return renamed
    return None


def _staged(name: str) -> str | None:
    module, _, rest = name.partition(".")
    stage, _, rest = rest.partition(".")
    if module not in STAGED_NAMES or not stage.isdigit():
        return None
    return f"backbone.fusions.{int(stage) + 1}.{STAGED_NAMES[module]}.{rest}"


def _alias(name: str, model: FusionModel) -> str:
    """The name that timm's features_only gives to what lies within an encoder."""
    head, net, rest = name.partition("_encoder.net.")
    if not net:
        return name
    encoder = model.get_submodule(f"{head}_encoder.net")
    assert isinstance(encoder, nn.ModuleDict)
    if "stem" in encoder:
        rest = _first(REGNET_ALIASES, rest) or rest
    elif "stem_0" in encoder:
        rest = re.sub(r"^layer([1-4])\.", lambda found: f"stages.{int(found[1]) - 1}.", rest)
        rest = _first(CONVNEXT_ALIASES, rest) or rest
    return head + net + rest


def fuse_attention(state: Mapping[str, torch.Tensor]) -> State:
    """Query, key and value side by side in one projection; an incomplete trio stays as it is, to be told."""
    fused = dict(state)
    for name in state:
        if not (found := re.fullmatch(r"(.*\.)?query\.(weight|bias)", name)):
            continue
        before, after = found[1] or "", found[2]
        trio = [f"{before}{one}.{after}" for one in ("query", "key", "value")]
        if all(one in state for one in trio):
            fused[f"{before}qkv.{after}"] = torch.cat([fused.pop(one) for one in trio])
    return fused


def _adapt_pami2022(state: State) -> None:
    """Its decoder puts out a third number that nothing reads, and turns the target point's y around on entry."""
    for name in ("waypoints.output.weight", "waypoints.output.bias"):
        if name in state:
            state[name] = state[name][:2]
    if (told := state.get("waypoints.decoder.weight_ih")) is not None and told.shape[1] == 4:
        state["waypoints.decoder.weight_ih"] = told * told.new_tensor([1.0, 1.0, 1.0, -1.0])


def _complete(
    state: State, left_over: list[str], model: FusionModel, dialect: Dialect, parts: Collection[str] | None
) -> State:
    """`state`, if it is just what `parts` of the model want. Raises CheckpointError listing what is not."""
    wanted = {name: tensor for name, tensor in model.state_dict().items() if _belongs(name, parts)}
    # Counters of batches are younger than some checkpoints, and nothing reads them.
    counters = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}
    state = {**counters, **state}
    problems = {
        "missing": [name for name in wanted if name not in state],
        "left over": left_over + [name for name in state if name not in wanted],
        "of another shape": [
            f"{name} {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            for name, tensor in state.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    if any(problems.values()):
        told = [f"{len(names)} {what}: {', '.join(names)}" for what, names in problems.items() if names]
        raise CheckpointError(
            "the weights do not fit the model. "
            + "; ".join(told)
            + f". Build the model from the preset of {dialect}, and name in `drop` what should be left behind"
        )
    return state


def main(arguments: Sequence[str]) -> int:
    """SOURCE TARGET: convert a published checkpoint. 0, or 2 with the reason on standard error."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m fusegpt.models.fusion.checkpoints SOURCE.pth TARGET.safetensors\n")
        return 2
    try:
        convert(Path(arguments[0]), Path(arguments[1]))
    except CheckpointError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
