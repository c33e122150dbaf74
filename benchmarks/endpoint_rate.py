"""What do clients see who ask at their own pace, not when they have been answered?

    python -m benchmarks.endpoint_rate [--rates 5 15 30] [--seconds 10] [--rounds 2] [--points 120000]

Open loop: one other process sends so many requests a second, evenly, whether or not those before have been answered,
and counts each request's time from the moment when it was due. So what waits because others are slow is counted, as it
is not in a closed loop. Beside each other, in turns: LitServe where it is installed, bare FastAPI, and the endpoint by
form and by binary tensors, with the time of its stages from its own metrics. A server that cannot keep the rate shows
it in `answered/s` and in times that grow with the length of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import numpy as np
import torch
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.endpoint_overhead import CONFIG, STAGE, OneModel, beside, save_model, save_request
from benchmarks.endpoint_throughput import BINARY, FASTAPI, FORM, LITSERVE, lit, requests_of
from experiments.fusion_waypoints import experiment
from service.endpoint.server import serve
from service.settings import Settings

STAGES = ("read", "decode", "wait", "encode", "forward", "finish", "respond")


class Turn(NamedTuple):
    """What came of one turn of one way."""

    times_ms: list[float]  # of what was answered with 200, from the moment when it was due
    others: int  # refused or failed
    late_ms: float  # p99 of how late the asking process itself was
    seconds: float  # until the last answer
    stages_ms: dict[str, float]  # the endpoint's own means


async def constant_rate(request: tuple[str, dict[str, str], bytes], rate: float, seconds: float) -> Turn:
    """Ask at this rate for so long, and wait for every answer."""
    url, headers, body = request
    times: list[float] = []
    late: list[float] = []
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
    async with httpx2.AsyncClient(trust_env=False, timeout=120.0, limits=limits) as http:
        begin = time.perf_counter() + 0.1

        async def one(due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            late.append(1000 * (time.perf_counter() - due))
            answer = await http.post(url, headers=headers, content=body)
            if answer.status_code == 200:
                times.append(1000 * (time.perf_counter() - due))

        due = [begin + number / rate for number in range(max(1, round(rate * seconds)))]
        await asyncio.gather(*(one(at) for at in due), return_exceptions=True)
        took = max(time.perf_counter() - begin, seconds)
    return Turn(times, len(due) - len(times), float(np.percentile(late, 99)), took, {})


def measured(told: str) -> dict[str, tuple[float, float]]:
    """Seconds and count of each stage since the endpoint's start, from its metrics."""
    values = {
        (sample.name.removeprefix(STAGE), sample.labels["stage"]): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if sample.name in (f"{STAGE}_sum", f"{STAGE}_count")
    }
    return {stage: (values["_sum", stage], values["_count", stage]) for name, stage in values if name == "_sum"}


def between(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Each stage's mean of what came between, in milliseconds."""
    found = {}
    for stage, (seconds, count) in after.items():
        first_seconds, first_count = before.get(stage, (0.0, 0.0))
        if count > first_count:
            found[stage] = 1000 * (seconds - first_seconds) / (count - first_count)
    return found


def ask(form: Path, urls: Mapping[str, str], rate: float, seconds: float) -> dict[str, Turn]:
    """Runs in another process: a turn of each way."""
    found = {}
    with httpx2.Client(trust_env=False) as http:
        for way, request in requests_of(form, urls, experiment.name).items():
            asyncio.run(constant_rate(request, min(rate, 5.0), 1.0))
            before = measured(http.get(f"{urls[FORM]}/metrics").text)
            turn = asyncio.run(constant_rate(request, rate, seconds))
            if way in (FORM, BINARY):
                turn = turn._replace(stages_ms=between(before, measured(http.get(f"{urls[FORM]}/metrics").text)))
            found[way] = turn
    return found


def compare(rates: list[float], seconds: float, rounds: int, points: int) -> None:
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        model, form = Path(home) / "model", Path(home) / "form"
        save_model(model)
        save_request(form, points)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        endpoint = stack.enter_context(serve(settings, experiment.name, CONFIG, partial(OneModel, model)))
        urls = {FORM: endpoint.url, FASTAPI: stack.enter_context(beside(model))}
        if importlib.util.find_spec("litserve"):
            urls[LITSERVE] = stack.enter_context(lit(model))
        head = "".join(f"{stage:>9}" for stage in STAGES)
        print(f"{'':<26}{'asked/s':>8}{'answered/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'late ms':>9}{'failed':>7} |{head}")
        for rate in rates:
            command = [sys.executable, "-m", "benchmarks.endpoint_rate", "--ask", json.dumps(urls)]
            command += ["--form", str(form), "--rates", str(rate), "--seconds", str(seconds)]
            show([json.loads(subprocess.run(command, check=True, stdout=-1).stdout) for _ in range(rounds)], rate)


def show(rounds: list[dict[str, list[object]]], rate: float) -> None:
    """One line a way: times over all rounds, rates and stages as medians of the rounds'."""
    for way in rounds[0]:
        turns = [Turn(*found[way]) for found in rounds]  # type: ignore[arg-type]
        times = [time for turn in turns for time in turn.times_ms] or [float("nan")]
        answered = float(np.median([len(turn.times_ms) / turn.seconds for turn in turns]))
        p50, p99 = np.percentile(times, [50, 99])
        late, others = max(turn.late_ms for turn in turns), sum(turn.others for turn in turns)
        line = f"{way:<26}{rate:>8.1f}{answered:>12.1f}{p50:>9.1f}{p99:>9.1f}{late:>9.1f}{others:>7} |"
        for stage in STAGES:
            found = [turn.stages_ms[stage] for turn in turns if stage in turn.stages_ms]
            line += f"{np.median(found):>9.2f}" if found else ""
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 15.0, 30.0], help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--points", type=int, default=120_000)
    for hidden in ("--ask", "--form"):
        parser.add_argument(hidden, default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.ask:
        print(json.dumps(ask(Path(arguments.form), json.loads(arguments.ask), arguments.rates[0], arguments.seconds)))
    else:
        compare(arguments.rates, arguments.seconds, arguments.rounds, arguments.points)


if __name__ == "__main__":
    main()
