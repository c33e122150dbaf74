"""Two versions side by side in what machines and clients feel: the time of a forward, the size, inputs and outputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from fusegpt.signature import Signature, Tensor
from service.registry.gate import Check, GateConfig

WARM_TURNS = 2
FEWEST_TURNS = 3


@dataclass(frozen=True)
class Size:
    """What a version's weights take."""

    bytes: int
    parameters: int


@dataclass(frozen=True)
class Comparison:
    """The challenger beside the champion. `slower` is the median of the turns' ratios: both saw the same moments."""

    forward_ms: float
    champion_forward_ms: float
    slower: float
    size: Size
    champion_size: Size
    breaks: str


def compare(challenger: Path, champion: Path, config: GateConfig) -> Comparison:
    """Both loaded in this process. Raises CheckpointError naming the file that cannot be read."""
    from fusegpt.predictor import Predictor

    new, old = Predictor.load(challenger).ready(), Predictor.load(champion).ready()
    turns = in_turns(_forward(new), _forward(old), config)
    return Comparison(
        forward_ms=1000 * median(new_s for new_s, _ in turns),
        champion_forward_ms=1000 * median(old_s for _, old_s in turns),
        slower=median(new_s / old_s for new_s, old_s in turns),
        size=size_of(challenger),
        champion_size=size_of(champion),
        breaks=breaks(new.signature, old.signature),
    )


def checks(found: Comparison, config: GateConfig) -> tuple[Check, ...]:
    """What the gate says of a comparison."""
    times, bytes_ = found.slower, found.size.bytes / max(found.champion_size.bytes, 1)
    forward = f"takes {times:.2f}x the champion's time for a forward ({found.forward_ms:.3g} ms)"
    size = f"has {bytes_:.2f}x the champion's bytes ({found.size.parameters:,} parameters)"
    return (
        _within("latency", forward, times, config.latency_ratio, forward_ms=found.forward_ms, latency_ratio=times),
        _within("size", size, bytes_, config.size_ratio, bytes=found.size.bytes, parameters=found.size.parameters),
        Check("signature", not found.breaks, found.breaks or "keeps the champion's inputs and outputs"),
    )


def _within(name: str, told: str, ratio: float, limit: float, **figures: float) -> Check:
    passed = not limit or ratio <= limit
    beyond = "" if passed else f", more than gate.{name}_ratio allows ({limit:g})"
    return Check(name, passed, told + beyond, {key: float(value) for key, value in figures.items()})


def in_turns(new: Callable[[], object], old: Callable[[], object], config: GateConfig) -> list[tuple[float, float]]:
    """Seconds of both, turn by turn, each first every other time."""
    for _ in range(WARM_TURNS):
        new(), old()
    turns: list[tuple[float, float]] = []
    deadline = time.perf_counter() + config.latency_s
    while len(turns) < config.latency_turns and (len(turns) < FEWEST_TURNS or time.perf_counter() < deadline):
        if len(turns) % 2:
            second = _seconds(old)
            turns.append((_seconds(new), second))
        else:
            turns.append((_seconds(new), _seconds(old)))
    return turns


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _forward(predictor: object) -> Callable[[], object]:
    from fusegpt.predictor import Predictor
    from service.endpoint.example import example

    assert isinstance(predictor, Predictor)
    batch = predictor.encode([example(predictor.signature)])
    return lambda: predictor.forward(batch)


def size_of(folder: Path) -> Size:
    """By the file of the weights and the shapes that it declares."""
    from safetensors import safe_open

    file = folder / "model.safetensors"
    with safe_open(file, framework="numpy") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118  no mapping
    return Size(file.stat().st_size, sum(math.prod(shape) for shape in shapes))


def breaks(new: Signature, old: Signature) -> str:
    """What a client of the old would stumble over with the new, in words; empty where it is nothing."""
    changes = [
        *_changes("input", new.inputs, old.inputs),
        *(f"takes the new input {name}" for name in _names(new.inputs) if name not in _names(old.inputs)),
        *_changes("output", new.outputs, old.outputs),
    ]
    return f"would break the champion's clients: it {', '.join(changes)}" if changes else ""


def _names(tensors: tuple[Tensor, ...]) -> list[str]:
    return [tensor.name for tensor in tensors]


def _changes(kind: str, new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> list[str]:
    now = {tensor.name: tensor for tensor in new}
    changes = []
    for tensor in old:
        if tensor.name not in now:
            changes.append(f"has no {kind} {tensor.name}")
        elif _form(now[tensor.name]) != _form(tensor):
            changes.append(f"has the {kind} {tensor.name} as {_form(now[tensor.name])}, not {_form(tensor)}")
        elif kind == "input" and now[tensor.name].max_rows < tensor.max_rows:
            changes.append(f"takes {now[tensor.name].max_rows} rows of {tensor.name} at most, not {tensor.max_rows}")
    return changes


def _form(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)} {tensor.media}"
