"""What does the endpoint add to the model's forward, for one request with a camera's picture and 120,000 points?

    python -m benchmarks.endpoint_overhead [--requests 20] [--rounds 8] [--engine auto] [--keep_mb 4]

Closed loop, batch 1, one thread for the model everywhere. The endpoint is real: Ray Serve behind HAProxy, asked by
another process over kept connections, by form and by binary tensors. Beside it the plainest thing that one would write,
FastAPI and uvicorn with the same predictor: its form of files, with pydantic's JSON for the answer. All ways run in
turns, round after round, so that they share the machine's moods; ratios and differences are taken within each round,
to the forward of the model as it was trained, which is what one would call by hand, and to the replica's own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx2
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, File, Form
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from experiments.fusion_waypoints import experiment
from fusegpt.predictor import EngineName, Predictor
from fusegpt.training.checkpoint import Scores, save_best
from service.client import Client
from service.endpoint.champion import Wanted
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import decode
from service.endpoint.form import Part
from service.endpoint.ingress import free_port
from service.endpoint.server import serve
from service.settings import Settings

HEIGHT, WIDTH = 375, 1242  # KITTI's camera
CONFIG = EndpointConfig()  # of the endpoint beside others in endpoint_throughput and endpoint_rate
STAGE = "fusegpt_stage_seconds"
FORWARD, OWN = "bare forward, as trained", "bare forward, as the replica runs it"
PREDICTOR = "the replica's predictor: encode + forward + decode"
FASTAPI, FORM, BINARY = "bare FastAPI, form", "endpoint, form", "endpoint, binary tensors"


class OneModel:
    """Champions that are one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wanted(self) -> Wanted:
        return Wanted(1)

    def folder(self, version: int) -> Path:
        del version
        return self._folder

    def withdraw(self, version: int, reason: str, former: int | None) -> None:
        """There is no other to go back to."""


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


def bare_fastapi(model: Path, port: int) -> None:
    """Runs in another process: one route, no batching, no limits."""
    predictor = Predictor.load(model)
    app = FastAPI()

    @app.post("/predict")
    def predict(
        image: Annotated[bytes, File()],
        sweep: Annotated[bytes, File()],
        speed_mps: Annotated[float, Form()],
        target_point: Annotated[str, Form()],
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = {
            "image": np.asarray(Image.open(io.BytesIO(image)).convert("RGB")),
            "sweep": np.frombuffer(bytearray(sweep), np.float32).reshape(-1, 4),
            "speed_mps": np.array([speed_mps], np.float32),
            "target_point": np.array([float(x) for x in target_point.split(",")], np.float32),
        }
        return {name: value.tolist() for name, value in predictor.predict([inputs])[0].items()}

    uvicorn.run(app, port=port, log_level="warning")


def ask(url: str, bare: str, model: Path, form: Path, engine: EngineName, count: int) -> dict[str, list[float]]:
    """Runs in another process: the times as a client sees them, and the stages that the endpoint tells."""
    contents = {file.name: file.read_bytes() for file in form.iterdir()}
    files = {name: ("upload", content) for name, content in contents.items()}
    files_bare = {name: (None if len(content) < 100 else "upload", content) for name, content in contents.items()}
    arrays: dict[str, Any] = {
        "image": np.asarray(Image.open(form / "image")),
        "sweep": np.frombuffer(contents["sweep"], np.float32).reshape(-1, 4),
        "speed_mps": float(contents["speed_mps"]),
        "target_point": [float(x) for x in contents["target_point"].split(b",")],
    }
    found: dict[str, list[float]] = {}
    with httpx2.Client(trust_env=False) as http, Client(url) as client:

        def by_form() -> None:
            note(found, FORM, http.post(f"{url}/v1/predict", files=files).raise_for_status().json()["timings_ms"])

        def by_tensors() -> None:
            note(found, BINARY, client.predict(**arrays).timings_ms)

        ways: dict[str, Callable[[], object]] = {
            **local(model, form, engine),
            FASTAPI: lambda: http.post(f"{bare}/predict", files=files_bare).raise_for_status(),
            FORM: by_form,
            BINARY: by_tensors,
        }
        for way in ways.values():
            way()
        found.clear()
        with ThreadPoolExecutor(1) as thread:  # as the endpoint does: allocation differs between threads
            times = {name: thread.submit(times_of, way, count).result() for name, way in ways.items()}
        return {**times, **found, **stages(http.get(f"{url}/metrics").text)}


def stages(told: str) -> dict[str, list[float]]:
    """The mean of the stages of a batch since the endpoint's start, in its own process."""
    values = {sample.name + sample.labels.get("stage", ""): sample.value
              for family in text_string_to_metric_families(told) for sample in family.samples}  # fmt: skip
    mean = {stage: values[f"{STAGE}_sum{stage}"] / values[f"{STAGE}_count{stage}"] for stage in ("encode", "forward")}
    return {f"  endpoint, mean of all: {stage}": [1000 * seconds] for stage, seconds in mean.items()}


def note(found: dict[str, list[float]], way: str, timings_ms: Mapping[str, float]) -> None:
    for stage, milliseconds in timings_ms.items():
        found.setdefault(f"  {way}: {stage}", []).append(milliseconds)


def ask_elsewhere(
    url: str, bare: str, model: Path, form: Path, engine: EngineName, count: int
) -> dict[str, list[float]]:
    """`ask`, run by another process."""
    command = [sys.executable, __file__, "--ask", url, "--bare", bare, "--engine", engine, "--requests", str(count)]
    command += ["--model", str(model), "--form", str(form)]
    found: dict[str, list[float]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def local(model: Path, form: Path, engine: EngineName) -> dict[str, Callable[[], object]]:
    """What the model takes without any service, in a process without Ray."""
    trained = Predictor.load(model)
    predictor = trained.ready(engine)
    print(f"the replica's engine: {predictor.engine}", file=sys.stderr)
    parts = {file.name: Part(file.name, "", bytearray(file.read_bytes())) for file in form.iterdir()}
    inputs = decode(parts, predictor.signature, CONFIG)
    batch = predictor.encode([inputs])
    return {
        FORWARD: lambda: trained.forward(batch),
        OWN: lambda: predictor.forward(batch),
        PREDICTOR: lambda: predictor.predict([inputs]),
    }


def show(rounds: list[dict[str, list[float]]]) -> None:
    """p50 and p99 over all rounds; what is added to the forward, and the ratio to it, as medians of the rounds'."""
    print(f"{'':<52}{'p50 ms':>9}{'p99 ms':>9}{'over trained':>14}{'ratio':>8}{'over own':>12}")
    for name in rounds[0]:
        times = [time for found in rounds for time in found[name]]
        p50, p99 = np.percentile(times, [50, 99])
        line = f"{name:<52}{p50:>9.2f}{p99:>9.2f}"
        if not name.startswith("  "):
            middles = [(np.median(r[name]), np.median(r[FORWARD]), np.median(r[OWN])) for r in rounds]
            more, over = (float(np.median([m[0] - m[i] for m in middles])) for i in (1, 2))
            ratio = float(np.median([m[0] / m[1] for m in middles]))
            line += f"{more:>+12.2f}ms{ratio:>7.2f}x{over:>+10.2f}ms"
        print(line)


@contextmanager
def beside(model: Path) -> Iterator[str]:
    """The bare FastAPI's URL, while it runs in another process."""
    port = free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, __file__, "--serve-bare", str(model), "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        try:
            while True:
                try:
                    httpx2.get(f"{url}/openapi.json")
                    break
                except httpx2.TransportError:
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--points", type=int, default=120_000)
    parser.add_argument("--engine", choices=("auto", "torch", "openvino"), default=CONFIG.engine)
    parser.add_argument("--keep_mb", type=float, default=CONFIG.keep_mb, help="endpoint.keep_mb")
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--form", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bare", default="", help=argparse.SUPPRESS)
    parser.add_argument("--serve-bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.ask:
        where = arguments.ask, arguments.bare, arguments.model, arguments.form
        print(json.dumps(ask(*where, arguments.engine, arguments.requests)))
    elif arguments.serve_bare:
        bare_fastapi(arguments.serve_bare, arguments.port)
    else:
        config = EndpointConfig(engine=arguments.engine, keep_mb=arguments.keep_mb)
        compare(config, arguments.requests, arguments.rounds, arguments.points)


def compare(config: EndpointConfig, requests: int, rounds: int, points: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        model, form = Path(home) / "model", Path(home) / "form"
        save_model(model)
        save_request(form, points)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        with (
            serve(settings, experiment.name, config, partial(OneModel, model)) as endpoint,
            beside(model) as bare,
        ):
            where = endpoint.url, bare, model, form
            show([ask_elsewhere(*where, config.engine, requests) for _ in range(rounds)])


if __name__ == "__main__":
    main()
