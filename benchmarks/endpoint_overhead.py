"""What does the endpoint add to the model's forward, for one form with a camera's PNG and a sweep of 120,000 points?

    python benchmarks/endpoint_overhead.py [--requests 60] [--rounds 5] [--points 120000]

Closed loop, batch 1, one thread for the model everywhere. The endpoint is real: Ray Serve behind HAProxy, asked by
another process over one kept connection. All ways run in turns, round after round, so that they share the machine's
moods; the times are over all rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
from PIL import Image

from experiments.fusion_waypoints import experiment
from fusegpt.predictor import Predictor
from fusegpt.training.checkpoint import Scores, save_best
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import decode
from service.endpoint.form import Part
from service.endpoint.server import serve
from service.settings import Settings

HEIGHT, WIDTH = 375, 1242  # KITTI's camera
CONFIG = EndpointConfig()


class OneModel:
    """Champions that are one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def version(self) -> int:
        return 1

    def folder(self, version: int) -> Path:
        del version
        return self._folder


def save_model(folder: Path) -> None:
    """The experiment's model as drawn: what it predicts does not change how long it takes."""
    torch.manual_seed(0)
    model = experiment.task.build(experiment).build_model()
    save_best(folder, experiment, model, Scores(epoch=1, step=1, metrics={}))


def save_request(folder: Path, points: int) -> None:
    """A form, one file a field: a picture with a camera's smoothness and grain, a sweep, speed and target point."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 78, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
    pixels = np.asarray(coarse) + rng.normal(0, 2, (HEIGHT, WIDTH, 1))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "image", "PNG")
    sweep = rng.uniform((-40, -40, -2, 0), (40, 40, 2, 1), (points, 4)).astype(np.float32)
    (folder / "sweep").write_bytes(sweep.tobytes())
    (folder / "speed_mps").write_text("8.5")
    (folder / "target_point").write_text("19.5,0.4")
    sizes = {file.name: file.stat().st_size / 1e6 for file in folder.iterdir()}
    print(f"one request: {sum(sizes.values()):.2f} MB, its image {sizes['image']:.2f} MB")


def times_of(call: Callable[[], object], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def ask(url: str, form: Path, count: int) -> dict[str, list[float]]:
    """Runs in another process: the times as a client sees them, and the stages that the endpoint tells."""
    found: dict[str, list[float]] = {}
    files = {file.name: ("upload", file.read_bytes()) for file in form.iterdir()}
    with httpx2.Client(trust_env=False) as client:

        def once() -> None:
            answer = client.post(f"{url}/v1/predict", files=files).raise_for_status()
            for stage, milliseconds in answer.json()["timings_ms"].items():
                found.setdefault(f"  of it, {stage}", []).append(milliseconds)

        once()
        found.clear()
        return {"endpoint": times_of(once, count), **found}


def ask_elsewhere(url: str, form: Path, count: int) -> dict[str, list[float]]:
    """`ask`, run by another process."""
    command = [sys.executable, __file__, "--ask", url, "--form", str(form), "--requests", str(count)]
    found: dict[str, list[float]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def measure(url: str, model: Path, form: Path, count: int, rounds: int) -> dict[str, list[float]]:
    """All ways in turns: name -> milliseconds."""
    predictor = Predictor.load(model)
    parts = {file.name: Part(file.name, "", bytearray(file.read_bytes())) for file in form.iterdir()}
    inputs = decode(parts, predictor.signature, CONFIG)
    batch = predictor.task.encode([inputs])
    local: dict[str, Callable[[], object]] = {
        "bare forward": partial(_forward, predictor, batch),
        "predictor: encode + forward + decode": lambda: predictor.predict([inputs]),
        "files to arrays, then the predictor": lambda: predictor.predict([decode(parts, predictor.signature, CONFIG)]),
    }
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, call in local.items():
            call()
            found.setdefault(name, []).extend(times_of(call, count))
        for name, times in ask_elsewhere(url, form, count).items():
            found.setdefault(name, []).extend(times)
    return found


def _forward(predictor: Predictor, batch: dict[str, Any]) -> object:
    with torch.inference_mode():
        return predictor.task.predict(predictor.model, batch)


def show(found: dict[str, list[float]]) -> None:
    bare = float(np.median(found["bare forward"]))
    print(f"{'':<38}{'p50 ms':>9}{'p99 ms':>9}{'over bare':>11}{'ratio':>8}")
    for name, times in found.items():
        p50, p99 = np.percentile(times, [50, 99])
        more = "" if name.startswith("  ") else f"{p50 - bare:>+9.2f}ms{p50 / bare:>7.2f}x"
        print(f"{name:<38}{p50:>9.2f}{p99:>9.2f}{more}")
    own = float(np.median(found["endpoint"]) - np.median(found["files to arrays, then the predictor"]))
    print(f"\nthe service itself (HTTP, HAProxy, form, batching, JSON) adds {own:.2f} ms to the same work in process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points", type=int, default=120_000)
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    parser.add_argument("--form", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        print(json.dumps(ask(arguments.ask, arguments.form, arguments.requests)))
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        model, form = Path(home) / "model", Path(home) / "form"
        save_model(model)
        save_request(form, arguments.points)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        with serve(settings, experiment.name, CONFIG, partial(OneModel, model)) as endpoint:
            show(measure(endpoint.url, model, form, arguments.requests, arguments.rounds))


if __name__ == "__main__":
    main()
