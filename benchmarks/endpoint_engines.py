"""Which way of running the model answers soonest, how far apart are their answers, and how long does each take to make?

    python -m benchmarks.endpoint_engines [--threads 1] [--batches 1 8] [--turns 40] [--compile]

The forward of fusion_waypoints: as it was trained, folded (`fusegpt.nn.folding`), by OpenVINO (`fusegpt.nn.exported`),
and with --compile by torch.compile and AOTInductor, which need a C++ compiler and minutes. All in one process, in
turns, so that they share its moods. Processor time is told beside time: it is what is left of a difference on a busy
machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch._inductor import aoti_compile_and_package, aoti_load_package

from benchmarks.endpoint_overhead import save_model
from fusegpt.predictor import Predictor
from fusegpt.tasks.task import Batch

TRAINED = "PyTorch, as trained"


def noise(predictor: Predictor, size: int) -> Batch:
    """A batch of so many requests with noise in their pictures and sweeps."""
    return predictor.encode([_request(predictor, np.random.default_rng(number)) for number in range(size)])


def _request(predictor: Predictor, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    image = rng.integers(0, 256, (96, 320, 3), dtype=np.uint8)
    return predictor.example() | {"image": image, "sweep": rng.uniform(-30, 30, (20_000, 4)).astype(np.float32)}


def compiled(model: nn.Module) -> nn.Module:
    made: Any = torch.compile(model, dynamic=True)
    assert isinstance(made, nn.Module)
    return made


class AheadOfTime(nn.Module):
    """A model that AOTInductor has compiled, for batches of any size. `inputs` are an example of them, batch first."""

    def __init__(self, model: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
        super().__init__()
        any_batch = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
        program = torch.export.export(model, inputs, dynamic_shapes=any_batch)
        package = aoti_compile_and_package(program, package_path=str(folder / "model.pt2"))
        self._run = aoti_load_package(package)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._run(*inputs)


def inputs_of(predictor: Predictor, size: int) -> tuple[torch.Tensor, ...]:
    """What its task gives to its model for so many requests."""
    seen: list[tuple[torch.Tensor, ...]] = []
    handle = predictor.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    try:
        predictor.forward(noise(predictor, size))
    finally:
        handle.remove()
    return seen[0]


def ways(folder: Path, largest: int, with_compile: bool) -> dict[str, Callable[[Batch], Batch]]:
    """Each way's forward, made and warm; what making it took is told."""
    trained = Predictor.load(folder)
    makers: dict[str, Callable[[], Predictor]] = {
        TRAINED: lambda: trained,
        "PyTorch, folded": lambda: trained.ready("torch"),
        "OpenVINO": lambda: trained.ready("openvino"),
    }
    if with_compile:
        of = trained.experiment, trained.task
        folded = trained.ready("torch")
        makers["torch.compile, folded"] = lambda: Predictor(*of, compiled(folded.model), trained.device)
        makers["AOTInductor, folded"] = lambda: Predictor(
            *of, AheadOfTime(folded.model, inputs_of(folded, largest), folder), trained.device
        )
    found: dict[str, Callable[[Batch], Batch]] = {}
    for name, make in makers.items():
        began = time.process_time()
        predictor = make()
        for size in (1, largest):
            predictor.forward(noise(trained, size))
        print(f"{name}: {predictor.engine}, made and warm in {time.process_time() - began:.1f} s of processor time")
        found[name] = predictor.forward
    return found


def compare(found: dict[str, Callable[[Batch], Batch]], batch: Batch, turns: int) -> None:
    expected = found[TRAINED](batch)["waypoints"]
    wall: dict[str, list[float]] = {name: [] for name in found}
    cpu: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(turns):
        for name, forward in found.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            forward(batch)
            cpu[name].append(1000 * (time.process_time() - began_cpu))
            wall[name].append(1000 * (time.perf_counter() - began))
    for name, forward in found.items():
        apart = float((forward(batch)["waypoints"] - expected).abs().max())
        ratio = np.median(np.array(cpu[TRAINED]) / np.array(cpu[name]))
        line = (
            f"{len(expected):>6}  {name:<24}{np.median(wall[name]):>10.2f}{np.median(cpu[name]):>11.2f}{ratio:>8.2f}x"
        )
        print(f"{line}{apart:>12.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as home:
        save_model(Path(home) / "model")
        found = ways(Path(home) / "model", max(arguments.batches), arguments.compile)
        predictor = Predictor.load(Path(home) / "model")
        print(f"{'batch':>6}  {'':<24}{'time, ms':>10}{'processor':>11}{'ratio':>9}{'apart, m':>12}")
        for size in arguments.batches:
            compare(found, noise(predictor, size), arguments.turns)


if __name__ == "__main__":
    main()
