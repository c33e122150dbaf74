"""Does a steady stream of requests notice swaps, a killed replica and bad versions?

    python -m benchmarks.swap_under_load [--requests 100000] [--rate 300] [--replicas 2]
    python -m benchmarks.swap_under_load --model fusion --requests 5000 --rate 10 [--engine auto]

Two replicas behind HAProxy, of a model that computes nothing or of the fusion model with a camera's picture and
120,000 points a request; two other processes ask at a constant rate, one with our client, one with Triton's stock
client, which tries nothing again. Meanwhile the champion is swapped ten times, a replica is killed with SIGKILL, a
version is promoted that does not load, and one that loads and then fails on every real request. A request counts from
the moment that it was due, not from when it was sent. Prints the answers by client, status and version, and p50 and
p99 of each phase.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._swapped import CLIENTS, FAILS_ON_REQUESTS, LOADS_NOT, NAMES, PROCESS, Shelf, load, save
from service.endpoint.config import EndpointConfig
from service.endpoint.guard import GuardConfig
from service.endpoint.server import serve
from service.settings import Settings

SWAPS = 10
THREADS = 16
WARM_UP = 2  # requests of each client before the run

Record = tuple[float, float, str, int]  # when it was due, seconds until its answer, what came, by which version


def ask_on(client: Callable[[], Callable[[], int]], count: int, rate: float) -> list[Record]:
    """Runs in another process: `count` requests at `rate`, from the moment that its input names."""
    warm = client()
    for _ in range(WARM_UP):
        warm()
    print("ready", flush=True)
    begin = float(sys.stdin.readline())
    local, dues = threading.local(), [begin + number / rate for number in range(count)]

    def one(due: float) -> Record:
        time.sleep(max(0.0, due - time.time()))
        if not hasattr(local, "ask"):
            local.ask = client()
        try:
            came, version = "200", int(local.ask())
        except Exception as error:
            came, version = f"{type(error).__name__}: {error}"[:80], 0
        return due - begin, time.time() - due, came, version

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(one, dues))


def play(shelf: Shelf, root: Path, begin: float, seconds: float) -> list[tuple[float, str]]:
    """Do to the endpoint what should not be noticed, evenly over the run; what was done when."""
    done = [(0.0, "steady")]
    events: list[tuple[str, Callable[[], object]]] = [
        (f"swap to {number}", partial(shelf.promote, number, number - 1)) for number in range(2, SWAPS + 2)
    ]
    last = SWAPS + 1
    events.insert(4, ("kill -9 of a replica", partial(kill_a_replica, root)))
    events.append(("a version that does not load", partial(shelf.promote, LOADS_NOT, last)))
    events.append(("back to the last", partial(shelf.promote, last, last - 1)))
    events.append(("a version that fails on requests", partial(shelf.promote, FAILS_ON_REQUESTS, last)))
    for number, (told, act) in enumerate(events, 1):
        time.sleep(max(0.0, begin + number * seconds / (len(events) + 1) - time.time()))
        done.append((time.time() - begin, told))
        act()
    return done


def kill_a_replica(root: Path) -> None:
    """One of those that have loaded a version and still run."""
    processes = [int(file.name.removeprefix(PROCESS)) for file in root.glob(f"{PROCESS}*")]
    os.kill(min(process for process in processes if Path(f"/proc/{process}").exists()), signal.SIGKILL)


def run(asked: argparse.Namespace) -> None:
    seconds = asked.requests / asked.rate
    with tempfile.TemporaryDirectory() as home:
        shelf = Shelf(root := Path(home) / "versions")
        root.mkdir()
        save(root, asked.model, [*range(1, SWAPS + 2), FAILS_ON_REQUESTS])
        shelf.promote(1, None)
        settings = Settings.read({"FUSEGPT_HOME": home, "FUSEGPT_PORT": "0"})
        config = EndpointConfig(
            num_replicas=asked.replicas, cpus_per_replica=0.5, poll_s=0.5, guard=GuardConfig(min_requests=10)
        )
        loading = partial(load, model=asked.model, engine=asked.engine)
        with serve(settings, NAMES[asked.model], config, partial(Shelf, root), loading) as endpoint:
            asking = [start(client, endpoint.url, asked) for client in CLIENTS]
            begin = begin_together(asking)
            done = play(shelf, root, begin, seconds)
            records = {client: answers(process) for client, process in zip(CLIENTS, asking, strict=True)}
            ended = shelf.wanted().champion
    show(records, done)
    print(f"champion at the end: version {ended}; {SWAPS + 1} is right: the version that fails was withdrawn by itself")


def start(client: str, url: str, asked: argparse.Namespace) -> subprocess.Popen[bytes]:
    share = len(CLIENTS)
    command = [sys.executable, "-m", "benchmarks.swap_under_load", "--ask", client, "--url", url]
    command += ["--model", asked.model, "--requests", str(asked.requests // share), "--rate", str(asked.rate / share)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def begin_together(asking: Sequence[subprocess.Popen[bytes]]) -> float:
    """The moment from which all ask, in seconds since 1970; each has had an answer before."""
    for process in asking:
        assert process.stdout is not None
        process.stdout.readline()
    begin = time.time() + 1.0
    for process in asking:
        assert process.stdin is not None
        process.stdin.write(f"{begin!r}\n".encode())
        process.stdin.flush()
    return begin


def answers(process: subprocess.Popen[bytes]) -> list[Record]:
    told, _ = process.communicate()
    return [(due, took, came, version) for due, took, came, version in json.loads(told)]


def show(records: Mapping[str, list[Record]], done: list[tuple[float, str]]) -> None:
    everything = [record for some in records.values() for record in some]
    failed = sum(came != "200" for _, _, came, _ in everything)
    print(f"{len(everything)} requests, {failed} failed")
    for client, some in records.items():
        for came, count in Counter(came for _, _, came, _ in some).most_common():
            print(f"  {client:<14}{came:<12}{count:>8}")
    versions = Counter(version for _, _, came, version in everything if came == "200")
    print("  by version    " + ", ".join(f"{version}: {count}" for version, count in sorted(versions.items())))
    print(f"{'from second':>12}  {'phase':<34}{'requests':>9}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for (when, told), (until, _) in zip(done, [*done[1:], (float("inf"), "")], strict=True):
        phase = [record for record in everything if when <= record[0] < until]
        p50, p99, most = 1000 * np.quantile([took for _, took, _, _ in phase] or [0.0], [0.5, 0.99, 1.0])
        lost = sum(came != "200" for _, _, came, _ in phase)
        print(f"{when:>12.1f}  {told:<34}{len(phase):>9}{lost:>8}{p50:>9.1f}{p99:>9.1f}{most:>9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second, of both clients together")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--model", choices=tuple(NAMES), default="tiny")
    parser.add_argument("--engine", choices=("auto", "torch", "openvino"), default="auto", help="of the fusion model")
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        client = partial(CLIENTS[arguments.ask], arguments.url, arguments.model)
        print(json.dumps(ask_on(client, arguments.requests, arguments.rate)))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
