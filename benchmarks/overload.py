"""Does the endpoint still do its work at twice the load that it can carry?

    python -m benchmarks.overload [--seconds 8] [--batch_ms 40]

The model takes a fixed time a batch (it sleeps, as the CPU does while a GPU works), so that the capacity is known: the
largest batch over that time. Another process asks at a constant rate, from half to three times the capacity. Goodput is
what was answered with 200 within the deadline, a second; what is beyond it should be refused at once, with 503 and
Retry-After. The bar: at twice the capacity within 10 % of the peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.swap_under_load import Shelf, Tiny
from service.endpoint.config import EndpointConfig
from service.endpoint.oip.writing import written
from service.endpoint.server import serve
from service.settings import Settings

LOADS = (0.5, 0.8, 1.0, 1.5, 2.0, 3.0)  # of the capacity
DEADLINE_S = 2.0
CONFIG = EndpointConfig(max_batch_size=4)
POINTS = 2000


class Slow(Tiny):
    """Takes its time for a batch, whatever is in it."""

    def __init__(self, batch_s: float) -> None:
        super().__init__(1)
        self._batch_s = batch_s

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[dict[str, np.ndarray[Any, Any]]]:
        time.sleep(self._batch_s)
        return super().predict(inputs)


def load(batch_s: float, _folder: Path) -> Slow:
    return Slow(batch_s)


async def ask_on(url: str, rate: float, seconds: float) -> list[tuple[str, float, bool]]:
    """Runs in another process: what came of each request, how long it took, and whether Retry-After was said."""
    sweep = np.zeros((POINTS, 4), np.float32)
    headers, parts = written(Tiny.signature, {"sweep": sweep, "speed_mps": 1.0})
    content, begin = b"".join(bytes(part) for part in parts), time.perf_counter()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
    async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=30.0) as client:

        async def one(due: float) -> tuple[str, float, bool]:
            await asyncio.sleep(due - time.perf_counter())
            try:
                answer = await client.post(f"{url}/v2/models/tiny/infer", headers=headers, content=content)
                came, again = str(answer.status_code), "Retry-After" in answer.headers
            except httpx2.TransportError as error:
                came, again = type(error).__name__, False
            return came, time.perf_counter() - due, again

        return await asyncio.gather(*(one(begin + number / rate) for number in range(int(rate * seconds))))


def measured(url: str, rate: float, seconds: float) -> list[tuple[str, float, bool]]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.overload",
        "--url",
        url,
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
    ]
    found: list[tuple[str, float, bool]] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return found


def compare(seconds: float, batch_s: float) -> None:
    capacity = CONFIG.max_batch_size / batch_s
    goodput: dict[float, float] = {}
    with tempfile.TemporaryDirectory() as home:
        Shelf(Path(home)).promote(1, None)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        with serve(settings, "tiny", CONFIG, partial(Shelf, Path(home)), partial(load, batch_s)) as endpoint:
            measured(endpoint.url, capacity / 2, 2.0)
            print(f"capacity {capacity:.0f} requests/s: {CONFIG.max_batch_size} in {1000 * batch_s:.0f} ms")
            print(
                f"{'load':>6}{'asked/s':>9}{'goodput/s':>11}{'p50 ms':>9}{'p99 ms':>9}  refused in ms; answers"
            )
            for times in LOADS:
                goodput[times] = show(times, capacity, seconds, measured(endpoint.url, times * capacity, seconds))
    peak = max(goodput.values())
    print(f"goodput at twice the capacity: {goodput[2.0] / peak:.2f} of the peak (the bar: 0.90)")


def show(times: float, capacity: float, seconds: float, found: list[tuple[str, float, bool]]) -> float:
    good = [took for came, took, _ in found if came == "200" and took <= DEADLINE_S]
    bad = [took for came, took, _ in found if came != "200"]
    p50, p99 = 1000 * np.quantile(good or [0.0], [0.5, 0.99])
    refused = 1000 * np.quantile(bad, 0.99) if bad else 0.0
    said = Counter(came + (" Retry-After" if again else "") for came, _, again in found)
    told = ", ".join(f"{count} {came}" for came, count in said.most_common())
    goodput = len(good) / seconds
    print(f"{times:>6.1f}{times * capacity:>9.0f}{goodput:>11.1f}{p50:>9.0f}{p99:>9.0f}  {refused:>8.0f}; {told}")
    return goodput


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--batch_ms", type=float, default=40.0)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.url:
        print(json.dumps(asyncio.run(ask_on(arguments.url, arguments.rate, arguments.seconds))))
    else:
        compare(arguments.seconds, arguments.batch_ms / 1000)


if __name__ == "__main__":
    main()
