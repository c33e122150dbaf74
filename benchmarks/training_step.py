"""How much faster is a training step than with the originals' attention: three projections, the softmax written out?

    python -m benchmarks.training_step [--preset pami2022] [--batch 8] [--rounds 7] [--device cuda] [--threads 1]

Same sizes, same weights, one process; all ways run in turns, round after round, so that they share the machine's moods.
A ratio is taken within each round. channels_last is the memory layout that fast convolutions want.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.fusion.model import FusionModel
from fusegpt.models.fusion.presets import PRESETS
from fusegpt.nn.attention import SelfAttention

Batch = dict[str, torch.Tensor]
# Height and width of image and bird's-eye view, as each code base trains.
SIZES = {
    "default": (96, 320, 128, 128),
    "cvpr2021": (256, 256, 256, 256),
    "pami2022": (160, 704, 256, 256),
    "carla_garage": (256, 1024, 256, 256),
    "navsim": (256, 1024, 256, 256),
}


class WrittenOutAttention(nn.Module):
    """The originals' way, with the weights of one of ours."""

    def __init__(self, ours: SelfAttention) -> None:
        super().__init__()
        self.n_head = ours.n_head
        self.query, self.key, self.value = (_linear(*part) for part in zip(*_thirds(ours.qkv), strict=True))
        self.attn_drop, self.resid_drop = nn.Dropout(ours.attn_pdrop), copy.deepcopy(ours.resid_drop)
        self.proj = copy.deepcopy(ours.proj)

    def forward(self, x: torch.Tensor, cache: None = None) -> torch.Tensor:
        assert cache is None  # the originals keep no keys and values
        B, T, C = x.shape
        # (B, T, C) -> (B, nh, T, hs)
        q, k, v = (
            one(x).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for one in (self.query, self.key, self.value)
        )
        weights = self.attn_drop(F.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1))
        y = (weights @ v).transpose(1, 2).contiguous().view(B, T, C)
        out: torch.Tensor = self.resid_drop(self.proj(y))
        return out


def _thirds(qkv: nn.Linear) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    return qkv.weight.chunk(3), qkv.bias.chunk(3)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear


def written_out(model: FusionModel) -> FusionModel:
    """A copy of the model with the originals' attention."""
    original = copy.deepcopy(model)
    for module in list(original.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SelfAttention):
                setattr(module, name, WrittenOutAttention(child))
    return original


def make_batch(config: FusionConfig, preset: str, size: int, device: str) -> Batch:
    H, W, h, w = SIZES[preset]
    batch = {
        "image": torch.randint(0, 256, (size, config.image_channels, H, W), dtype=torch.uint8),
        "lidar": torch.rand(size, config.lidar_channels, h, w),
        "speed_mps": torch.rand(size, 1) * 10,
        "target_point": torch.randn(size, 2) * 10,
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


@dataclass
class Step:
    """One training step of one way to run the model."""

    model: FusionModel
    batch: Batch
    bf16: bool = False

    def __post_init__(self) -> None:
        self.device = self.batch["lidar"].device
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)

    def __call__(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = self.model(**self.batch)
        sum(output.float().abs().mean() for output in outputs.values()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def ways(config: FusionConfig, batch: Batch, device: str) -> dict[str, Step]:
    """Every way, each with its own copy of the same weights. Ends with an error where two ways disagree."""
    ours = config.build(fetch=False).to(device)
    original = written_out(ours)
    check_equal(ours, original, batch)
    last = partial(torch.nn.Module.to, memory_format=torch.channels_last)
    return {
        "written out, fp32": Step(original, batch),
        "written out, bf16": Step(copy.deepcopy(original), batch, bf16=True),
        "fused, fp32": Step(ours, batch),
        "fused, bf16": Step(copy.deepcopy(ours), batch, bf16=True),
        "fused, channels_last, fp32": Step(last(copy.deepcopy(ours)), batch),
        "fused, channels_last, bf16": Step(last(copy.deepcopy(ours)), batch, bf16=True),
    }


def check_equal(ours: FusionModel, original: FusionModel, batch: Batch) -> None:
    with torch.no_grad():
        a, b = (model.eval()(**batch)["waypoints"] for model in (ours, original))
    if not torch.allclose(a, b, atol=1e-3, rtol=1e-3):
        raise SystemExit(f"the two attentions differ by {float((a - b).abs().max())} m")
    ours.train()
    original.train()


def report(times: dict[str, list[float]]) -> None:
    print(f"{'':<28}{'step, median':>14}")
    for name, values in times.items():
        print(f"{name:<28}{statistics.median(values) * 1000:>11.1f} ms")
    print(f"\n{'ratio':<58}{'median':>8}{'min':>8}{'max':>8}")
    for slow, fast in (
        ("written out, fp32", "fused, fp32"),
        ("written out, bf16", "fused, bf16"),
        ("written out, fp32", "fused, channels_last, fp32"),
        ("written out, fp32", "fused, channels_last, bf16"),
    ):
        ratios = [a / b for a, b in zip(times[slow], times[fast], strict=True)]
        told = "".join(f"{value:>7.2f}x" for value in (statistics.median(ratios), min(ratios), max(ratios)))
        print(f"{slow + '  /  ' + fast:<58}{told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", choices=sorted(SIZES), default="default")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = FusionConfig() if arguments.preset == "default" else PRESETS[arguments.preset]()
    batch = make_batch(config, arguments.preset, arguments.batch, arguments.device)
    steps = ways(config, batch, arguments.device)
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            times[name].append(seconds(step))
    kind = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.threads} CPU threads"
    print(
        f"{arguments.preset}, batch {arguments.batch}, {kind}, {arguments.rounds} rounds, PyTorch {torch.__version__}"
    )
    report(times)


if __name__ == "__main__":
    main()
