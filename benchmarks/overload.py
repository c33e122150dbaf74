"""Does the endpoint still do its work at twice the load that it can carry?

    python -m benchmarks.overload [--seconds 8] [--batch_ms 40] [--loads 0.5 1 2]

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

import numpy as np

from benchmarks._swapped import Shelf, Tiny
from service.endpoint.config import EndpointConfig
from service.endpoint.oip.writing import written
from service.endpoint.server import serve
from service.settings import Settings

Record = tuple[str, float, bool, float]  # what came, seconds, whether Retry-After was said, how late it was sent
LOADS = (0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
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


async def ask_on(url: str, rate: float, seconds: float) -> list[Record]:
    """Runs in another process. Each request has a connection of its own, as of many clients that know nothing."""
    sweep = np.zeros((POINTS, 4), np.float32)
    headers, parts = written(Tiny.signature, {"sweep": sweep, "speed_mps": 1.0})
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    host, port = url.removeprefix("http://").split(":")
    start = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n"
    content, begin = start.encode() + b"".join(bytes(part) for part in parts), time.perf_counter() + 0.2

    async def one(due: float) -> Record:
        await asyncio.sleep(due - time.perf_counter())
        sent = time.perf_counter()
        try:
            answer = await exchange(host, int(port), content)
        except OSError as error:
            answer = type(error).__name__.encode()
        came = answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else answer.decode()[:40] or "nothing"
        return came, time.perf_counter() - sent, b"retry-after" in answer.lower(), sent - due

    return await asyncio.gather(*(one(begin + number / rate) for number in range(int(rate * seconds))))


async def exchange(host: str, port: int, content: bytes) -> bytes:
    """The head of the answer. The endpoint may answer and close before it has read all."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(content)
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()


def measured(url: str, rate: float, seconds: float) -> list[Record]:
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
    found: list[Record] = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
    return found


def compare(loads: Sequence[float], seconds: float, batch_s: float) -> None:
    capacity = CONFIG.max_batch_size / batch_s
    goodput: dict[float, float] = {}
    with tempfile.TemporaryDirectory() as home:
        Shelf(Path(home)).promote(1, None)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        with serve(settings, "tiny", CONFIG, partial(Shelf, Path(home)), partial(load, batch_s)) as endpoint:
            measured(endpoint.url, capacity / 2, 2.0)
            print(f"capacity {capacity:.0f} requests/s: {CONFIG.max_batch_size} in {1000 * batch_s:.0f} ms")
            print(f"{'load':>5}{'asked/s':>9}{'goodput/s':>11}{'p50 ms':>8}{'p99 ms':>8}{'late ms':>9}  answers")
            for times in loads:
                goodput[times] = show(times, capacity, seconds, measured(endpoint.url, times * capacity, seconds))
    peak = max(goodput.values())
    told = ", ".join(f"{value / peak:.2f} at {times:g}x" for times, value in goodput.items())
    print(f"goodput over the peak: {told} (the bar: 0.90 at 2x)")


def show(times: float, capacity: float, seconds: float, found: list[Record]) -> float:
    """`late` is by how much the asking process itself was late: large where the machine is busy with other things."""
    good = [took for came, took, _, _ in found if came == "200" and took <= DEADLINE_S]
    p50, p99 = 1000 * np.quantile(good or [0.0], [0.5, 0.99])
    late = 1000 * np.quantile([late for _, _, _, late in found], 0.99)
    said = Counter(came + (" Retry-After" if again else "") for came, _, again, _ in found)
    told = ", ".join(f"{count} {came}" for came, count in said.most_common())
    goodput = len(good) / seconds
    print(
        f"{times:>5.1f}{times * capacity:>9.0f}{goodput:>11.1f}{p50:>8.0f}{p99:>8.0f}{late:>9.0f}  {told}", flush=True
    )
    return goodput


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--batch_ms", type=float, default=40.0)
    parser.add_argument(
        "--loads", type=float, nargs="+", default=[0.5, 0.8, 1.0, 1.5, 2.0, 3.0], help="of the capacity"
    )
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.url:
        print(json.dumps(asyncio.run(ask_on(arguments.url, arguments.rate, arguments.seconds))))
    else:
        compare(arguments.loads, arguments.seconds, arguments.batch_ms / 1000)


if __name__ == "__main__":
    main()
