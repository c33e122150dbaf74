"""How many requests a second does the endpoint answer, beside LitServe and bare FastAPI with the same model?

    python -m benchmarks.endpoint_throughput [--seconds 8] [--rounds 3] [--clients 1 8] [--points 120000]

Closed loop: so many clients in one other process, each asks again when it has its answer. A request is a camera's
picture and a sweep: a form of files, base64 in JSON for LitServe, and binary tensors where those are known. One process
with one thread for the model everywhere; the servers stand beside each other and are asked in turns, round after round.
LitServe is no dependency of this project: pip install litserve==0.2.19.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
from PIL import Image

from benchmarks.endpoint_overhead import CONFIG, OneModel, beside, save_model, save_request
from experiments.fusion_waypoints import experiment
from service.endpoint.ingress import free_port
from service.endpoint.oip.writing import written
from service.endpoint.server import serve
from service.settings import Settings

LITSERVE, FASTAPI, FORM, BINARY = "LitServe, JSON", "bare FastAPI, form", "endpoint, form", "endpoint, binary tensors"


def inputs_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": np.asarray(Image.open(io.BytesIO(parts["image"])).convert("RGB")),
        "sweep": np.frombuffer(bytearray(parts["sweep"]), np.float32).reshape(-1, 4),
        "speed_mps": np.array([float(parts["speed_mps"])], np.float32),
        "target_point": np.array(parts["target_point"].split(","), np.float32),
    }


@contextmanager
def lit(model: Path) -> Iterator[str]:
    """LitServe's URL, while it runs in another process."""
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "benchmarks._litserve", str(model), str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True) as process:
        try:
            wait_for(f"{url}/health")
            yield url
        finally:
            os.killpg(process.pid, 15)


def wait_for(url: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx2.get(url).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


def requests_of(form: Path, urls: Mapping[str, str], name: str) -> dict[str, tuple[str, dict[str, str], bytes]]:
    """Each way's URL, headers and body, made once."""
    contents = {file.name: file.read_bytes() for file in form.iterdir()}
    files = {key: (None if len(content) < 100 else "upload", content) for key, content in contents.items()}
    made = httpx2.Request("POST", "http://any", files=files)
    body, kind = made.read(), {"Content-Type": made.headers["Content-Type"]}
    signature = experiment.task.build(experiment).signature
    words = {key: content.decode() if len(content) < 100 else content for key, content in contents.items()}
    inputs = inputs_of(words)
    headers, parts = written(signature, inputs)
    ways = {
        FASTAPI: (f"{urls[FASTAPI]}/predict", kind, body),
        FORM: (f"{urls[FORM]}/v1/predict", kind, body),
        BINARY: (f"{urls[FORM]}/v2/models/{name}/infer", headers, b"".join(bytes(part) for part in parts)),
    }
    if LITSERVE not in urls:
        return ways
    told: dict[str, Any] = {key: base64.b64encode(contents[key]).decode() for key in ("image", "sweep")}
    told |= {"speed_mps": float(contents["speed_mps"]), "target_point": inputs["target_point"].tolist()}
    return {
        LITSERVE: (f"{urls[LITSERVE]}/predict", {"Content-Type": "application/json"}, json.dumps(told).encode()),
        **ways,
    }


async def closed_loop(request: tuple[str, dict[str, str], bytes], clients: int, seconds: float) -> list[float]:
    """The times of all requests that were answered with 200, in milliseconds; the others raise."""
    url, headers, body = request
    times: list[float] = []
    async with httpx2.AsyncClient(trust_env=False, timeout=60.0) as http:
        deadline = time.perf_counter() + seconds

        async def one() -> None:
            while time.perf_counter() < deadline:
                start = time.perf_counter()
                (await http.post(url, headers=headers, content=body)).raise_for_status()
                times.append(1000 * (time.perf_counter() - start))

        await asyncio.gather(*(one() for _ in range(clients)))
    return times


def ask(form: Path, urls: Mapping[str, str], clients: int, seconds: float) -> dict[str, list[float]]:
    """Runs in another process: a turn of each way."""
    found = {}
    for way, request in requests_of(form, urls, experiment.name).items():
        asyncio.run(closed_loop(request, clients, 0.5))
        found[way] = asyncio.run(closed_loop(request, clients, seconds))
    return found


def compare(seconds: float, rounds: int, clients: list[int], points: int) -> None:
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        model, form = Path(home) / "model", Path(home) / "form"
        save_model(model)
        save_request(form, points)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        endpoint = stack.enter_context(serve(settings, experiment.name, CONFIG, partial(OneModel, model)))
        urls = {FORM: endpoint.url, FASTAPI: stack.enter_context(beside(model))}
        if importlib.util.find_spec("litserve"):
            urls[LITSERVE] = stack.enter_context(lit(model))
        print(f"{'':<28}{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}")
        for count in clients:
            command = [sys.executable, "-m", "benchmarks.endpoint_throughput", "--ask", json.dumps(urls)]
            command += ["--form", str(form), "--clients", str(count), "--seconds", str(seconds)]
            told = [json.loads(subprocess.run(command, check=True, stdout=-1).stdout) for _ in range(rounds)]
            show(told, count, seconds)


def show(told: list[dict[str, list[float]]], clients: int, seconds: float) -> None:
    for way in told[0]:
        rate = float(np.median([len(found[way]) / seconds for found in told]))
        p50, p99 = np.percentile([time for found in told for time in found[way]], [50, 99])
        print(f"{way:<28}{clients:>8}{rate:>12.1f}{p50:>9.1f}{p99:>9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--points", type=int, default=120_000)
    for hidden in ("--ask", "--form"):
        parser.add_argument(hidden, default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.ask:
        found = ask(Path(arguments.form), json.loads(arguments.ask), arguments.clients[0], arguments.seconds)
        print(json.dumps(found))
    else:
        compare(arguments.seconds, arguments.rounds, arguments.clients, arguments.points)


if __name__ == "__main__":
    main()
