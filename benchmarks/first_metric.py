"""How much later does the first metric of a submitted job come than that of the same training by itself?

Bare: the experiment trained by `fusegpt.training`, with the data packed, once from the start of its process and once
in a process that is up. Submitted: `fusegpt submit --quiet` to an API beside a Ray that is up, until the API tells the
trial's first epoch. All of the same spec, side by side in one run. The stages are told by the job's own events.

    python -m benchmarks.first_metric [--repeats 5] [--experiment row_classifier]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx2

import experiments
from fusegpt.experiment import Experiment
from fusegpt.training.report import Report
from service.cluster.local_ray import _environment, _head
from service.cluster.train import train_alone
from service.settings import Settings
from service.spec import parse_assignments

ONE_TRIAL = ("search.trials=1", "search.algorithm=random", "resources.concurrent_trials=1")
STAGES = ("queued", "starting", "running", "search_started", "trial_started", "trial_reported")
BAR_S, LIMIT_S, LOOK_S = 5.0, 600.0, 0.05


def settings_of(name: str) -> list[str]:
    """What --set says of the smallest run of the experiment: its smoke settings, one trial."""
    return [*(f"{key}={json.dumps(value)}" for key, value in experiments.smoke(name).items()), *ONE_TRIAL]


def bare(experiment: Experiment, folder: Path, cache: Path) -> float:
    """Seconds of a training until it tells its first epoch."""
    first: list[float] = []
    start = time.perf_counter()

    def report(_: Report) -> None:
        first.append(time.perf_counter() - start)
        print(f"bare: the first epoch after {first[0]:.2f} s", flush=True)

    train_alone(experiment, folder, cache, report, lambda: bool(first))
    return first[0]


def bare_from_start(options: argparse.Namespace, folder: Path, cache: Path) -> float:
    """The same from the start of its process, which imports what it needs, until that tells."""
    command = [sys.executable, "-m", "benchmarks.first_metric", "--experiment", options.experiment]
    start = time.perf_counter()
    with subprocess.Popen([*command, "--alone", str(folder), str(cache)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        seconds = time.perf_counter() - start
    if not told or process.returncode:
        raise RuntimeError("the bare training told no metric")
    return seconds


@contextmanager
def service(folder: Path, cpus: float) -> Iterator[tuple[httpx2.Client, Mapping[str, str]]]:
    """A Ray and an API on this machine; a client of the API, and the environment of who asks it."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FUSEGPT_HOME": str(folder)}
    with _environment({**token, **here}), _head(serve=False, dashboard=True, cpus=cpus) as ray:
        url = f"http://127.0.0.1:{_free_port()}"
        cluster = {"RAY_ADDRESS": ray["address"], "RAY_API_SERVER_ADDRESS": ray["dashboard_url"]}
        environment = {**os.environ, **cluster, "FUSEGPT_API_PORT": url.rpartition(":")[2]}
        api = subprocess.Popen([*FUSEGPT, "api"], env=environment)
        try:
            with httpx2.Client(base_url=url, timeout=30) as client:
                _wait(client)
                yield client, {**os.environ, "FUSEGPT_ADDRESS": url}
        finally:
            api.terminate()
            api.wait(30)


FUSEGPT = (sys.executable, "-m", "service")


def submitted(client: httpx2.Client, environment: Mapping[str, str], job: str, asked: list[str], name: str) -> float:
    """Seconds from the command until the API tells the first epoch."""
    changes = [part for each in asked for part in ("--set", each)]
    start = time.perf_counter()
    command = [*FUSEGPT, "submit", job, *changes, "--quiet", "--name", name]
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL):
        while not _told(client, name):
            if time.perf_counter() - start > LIMIT_S:
                raise RuntimeError(f"{name}: no metric within {LIMIT_S:g} s")
            time.sleep(LOOK_S)
        return time.perf_counter() - start


def _told(client: httpx2.Client, name: str) -> bool:
    """Whether the first epoch can be seen. Raises RuntimeError where it never will."""
    job = client.get(f"/v1/jobs/{name}")
    if job.status_code == 404:  # the command has not come so far
        return False
    if job.json()["state"] == "failed":
        raise RuntimeError(f"{name}: {job.json()['reason']}")
    return any(trial["epoch"] >= 1 for trial in client.get(f"/v1/jobs/{name}/trials").json())


def ended(client: httpx2.Client, name: str) -> dict[str, float]:
    """When each stage of a job began, in seconds from its submission; once it is over."""
    while client.get(f"/v1/jobs/{name}").json()["state"] not in ("succeeded", "failed"):
        time.sleep(0.5)
    created = datetime.fromisoformat(client.get(f"/v1/jobs/{name}").json()["created"])
    return stages_in(client.get(f"/v1/jobs/{name}/events").text, created)


def stages_in(events: str, created: datetime) -> dict[str, float]:
    """The same, out of a job's server-sent events."""
    stages: dict[str, float] = {}
    for block in events.split("\n\n"):
        said = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        data = json.loads(said.get("data", "{}"))
        stage = data.get("to", said.get("event"))
        if stage in STAGES and "time" in data:
            stages.setdefault(stage, (datetime.fromisoformat(data["time"]) - created).total_seconds())
    return stages


def _wait(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            client.get("/v1/jobs").raise_for_status()
            return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise RuntimeError("the API did not come up")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _row(what: str, seconds: list[float]) -> str:
    return f"| {what} | {median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--experiment", default="row_classifier")
    parser.add_argument("--cpus", type=float, default=2.0)
    parser.add_argument("--alone", nargs=2, type=Path, metavar=("FOLDER", "CACHE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    asked = settings_of(options.experiment)
    experiment = experiments.load(options.experiment).override(parse_assignments(asked))
    if options.alone:
        bare(experiment, *options.alone)
        return
    alone: list[float] = []
    started: list[float] = []
    through: list[float] = []
    stages: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="fusegpt-first-") as folder:
        home = Settings(home=Path(folder), tracking_uri="")
        with service(home.home, options.cpus) as (client, environment):
            for repeat in range(options.repeats + 1):  # the first of each packs data and warms what can be warm
                alone.append(bare(experiment, home.runs / f"bare-{repeat}", home.cache))
                started.append(bare_from_start(options, home.runs / f"started-{repeat}", home.cache))
                name = f"first-{repeat}"
                through.append(submitted(client, environment, options.experiment, asked, name))
                stages.append(ended(client, name))
                bares = f"bare {alone[-1]:.2f} s, from its start {started[-1]:.2f} s"
                told = f"{repeat}: {bares}, submitted {through[-1]:.2f} s, {stages[-1]}"
                print(told, file=sys.stderr, flush=True)
    later, later_than_started = (
        [after - before for after, before in zip(through[1:], base[1:], strict=True)] for base in (alone, started)
    )
    print(f"first metric of {options.experiment}, {options.repeats} repeats, seconds\n")
    print("| | median | min | max |\n|---|---:|---:|---:|")
    print(_row("bare training, process up, data packed", alone[1:]))
    print(_row("bare training, from the start of its process, data packed", started[1:]))
    print(_row("`fusegpt submit`, Ray and API up", through[1:]))
    print(_row(f"later than the one whose process was up (bar: {BAR_S:g})", later))
    print(_row(f"later than the one from its start (bar: {BAR_S:g})", later_than_started))
    print("\n| of which, since the job was taken | median | min | max |\n|---|---:|---:|---:|")
    for stage in STAGES[1:]:
        print(_row(stage, [each[stage] for each in stages[1:] if stage in each]))


if __name__ == "__main__":
    main()
