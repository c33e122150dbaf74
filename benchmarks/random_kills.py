"""Does a search lose, double or hold anything while processes of the service are killed at random?

    python -m benchmarks.random_kills [--kills 200] [--seed 0] [--minutes 120]

The services of docker-compose.yml, each on a host of its own (a network namespace; needs root and PostgreSQL), with two
worker hosts. Small real searches run one after another, every other one with trials that are spread over both hosts,
while at random moments one of these is killed with SIGKILL: a process of a trial, a worker host (or its raylet), the
job's driver, the API, MLflow, the endpoint's replica. What Compose would start again is started again. At the end of
each search the store, the disk and MLflow are asked for each trial and each epoch of it, and the cluster for CPUs.

Exits with 1 where anything was lost, doubled, left running or held.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from benchmarks._cluster.books import JOBS, Finding, findings
from benchmarks._cluster.kills import kill_driver, kill_node, kill_replica, kill_trial
from benchmarks._cluster.laptop import Laptop
from benchmarks._cluster.stack import ASK, Stack
from benchmarks._cluster.team import WORKERS, obstacle, standing
from benchmarks._cluster.tiny_spec import spec

EPOCHS = 30
TRIALS = {1: 3, 2: 2}  # of a search, by workers of a trial: over both hosts there is one at a time
# Of one search. A trial and a job are given up when they are lost four times in a row with nothing kept in between, and
# nothing may have been kept between two of these kills.
AT_MOST = {"worker": 2, "node": 1, "driver": 3, "API": 4, "MLflow": 4, "replica": 4}
PAUSE_S, DOWN_S = (0.5, 10.0), (0.0, 8.0)
END_S = 600.0
WRONG = ("lost", "doubled", "running", "held")


@dataclass
class Tally:
    """One search: what was killed during it, and what was wrong at its end."""

    name: str
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[Finding] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(finding.kind == kind for finding in self.wrong)


class Fire:
    """Kills during one search, and the restart policy of what was killed."""

    def __init__(self, stack: Stack, rng: Random, job: str, tally: Tally) -> None:
        self._stack, self._rng, self._job, self._tally = stack, rng, job, tally
        self._down: dict[str, float] = {}  # host -> when it comes back

    def strike(self) -> None:
        """Kill something of a random kind; of another where there is no such thing now."""
        left = [kind for kind, most in AT_MOST.items() if self._tally.kills[kind] < most]
        for kind in self._rng.sample(left, len(left)):
            if self._kill(kind):
                self._tally.kills[kind] += 1
                print(f"{time.strftime('%H:%M:%S')} {self._tally.name}: {kind}", flush=True)
                return

    def restart(self) -> None:
        """Start again what has ended: a server at once, a worker host after a while."""
        for service in self._stack.services:
            for host in self._stack.names(service):
                if self._stack.is_up(host):
                    continue
                away_s = self._rng.uniform(*DOWN_S) if service == WORKERS else 0.0
                if time.monotonic() >= self._down.setdefault(host, time.monotonic() + away_s):
                    self._stack.restart(service, host)
                    del self._down[host]

    def _kill(self, kind: str) -> bool:
        if kind in ("API", "MLflow"):
            host = kind.lower()
            there = self._stack.is_up(host)
            self._stack.kill(host)
            return there
        if kind == "driver":
            return kill_driver(self._stack, self._job) > 0
        strike = {"worker": kill_trial, "node": kill_node, "replica": kill_replica}[kind]
        return strike(self._stack, self._rng)


def search_under_fire(stack: Stack, laptop: Laptop, rng: Random, number: int, kills: int) -> Tally:
    """One search with at most so many kills, from its submission to its books."""
    tally, workers = Tally(f"search-{number:02d}"), 1 + number % 2
    asked = spec(laptop, tally.name, trials=TRIALS[workers], epochs=EPOCHS, workers=workers)
    laptop.fusegpt("submit", asked, "--quiet")
    job, deadline = told(laptop, tally.name), time.monotonic() + END_S
    fire = Fire(stack, rng, job["id"], tally)
    while time.monotonic() < deadline:
        pause = time.monotonic() + rng.uniform(*PAUSE_S)
        while time.monotonic() < pause:
            time.sleep(0.2)
            fire.restart()
        if tally.kills.total() < min(kills, sum(AT_MOST.values())) and job["state"] == "running":
            fire.strike()
        job = told(laptop, tally.name) or job
        if job["ended"]:
            break
    fire.restart()
    for service in stack.services:
        stack.wait_healthy(service)
    tally.wrong = findings(stack, laptop, tally.name, TRIALS[workers], EPOCHS)
    return tally


def told(laptop: Laptop, name: str) -> Any:
    """The job as the API has it; None while the API is away."""
    try:
        return laptop.runs(ASK, f"{JOBS}/{name}")
    except AssertionError:
        return None


def show(tallies: Sequence[Tally]) -> None:
    """By kind of kill: how many there were, and what was wrong with the searches that they hit."""
    print(f"\n| kind of kill | kills | searches | {' | '.join(WRONG)} |")
    print("|---|---:|---:|" + "---:|" * len(WRONG))
    for kind in AT_MOST:
        hit = [tally for tally in tallies if tally.kills[kind]]
        print(row(kind, sum(tally.kills[kind] for tally in hit), hit))
    print(row("all", sum(tally.kills.total() for tally in tallies), tallies))


def row(name: str, kills: int, tallies: Sequence[Tally]) -> str:
    wrong = [sum(tally.count(kind) for tally in tallies) for kind in WRONG]
    return f"| {name} | {kills} | {len(tallies)} | {' | '.join(map(str, wrong))} |"


def run(kills: int, seed: int, minutes: float) -> list[Tally]:
    rng, token, tallies = Random(seed), secrets.token_hex(32), list[Tally]()
    last = time.monotonic() + 60 * minutes
    with standing(token, patience=4.0) as stack:
        laptop = Laptop(stack.network.add("laptop"), token)
        while (left := kills - sum(tally.kills.total() for tally in tallies)) > 0 and time.monotonic() < last:
            began = time.monotonic()
            tallies.append(tally := search_under_fire(stack, laptop, rng, len(tallies), left))
            print(f"{tally.name}: {tally.kills.total()} kills in {time.monotonic() - began:.0f} s", flush=True)
            for finding in tally.wrong:
                print(f"  {finding.kind}: {finding.what}", flush=True)
    return tallies


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="no search begins later than that")
    asked = parser.parse_args()
    if why := obstacle():
        print(f"not measured: {why}", file=sys.stderr)
        return 2
    tallies = run(asked.kills, asked.seed, asked.minutes)
    show(tallies)
    return 1 if any(tally.wrong for tally in tallies) else 0


if __name__ == "__main__":
    if code := main():
        sys.exit(code)
