"""Which number format a training step computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def bf16_in_hardware(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively: Ampere or later, or a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context of one forward pass. bf16 needs no loss scaling: its range is that of fp32."""
    if precision == "bf16" or (precision == "auto" and bf16_in_hardware(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
