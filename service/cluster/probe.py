"""`probe`: a few real training steps of some models, in a process of their own: how long a step is, how much memory.

The same training as a trial's, on the same data, stopped after STEPS; `python -m service.cluster.probe CACHE` reads
experiments from its input, one a line, and writes what it measured, one a line. On this machine, or on the cluster
where there is one (`probe_job`). Results are kept by what they are of.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from pydantic import Field, ValidationError

from fusegpt.config import Config
from fusegpt.experiment import Experiment, parse
from service.cluster.wanted import Gone, NobodyWaitsError, run_while_wanted, waiting
from service.settings import Settings

LIMIT_S = 20.0  # for all models of a plan together
WARM_UP, STEPS, SECONDS = 1, 5, 3.0  # the first step allocates and compiles; no more than so many, or so long
FORWARD = 1 / 3  # a forward's share of a training step: the backward takes two
NOBODY = "nobody waits for it any more"
LONG = 1000  # epochs: so many that the steps do not run out

_one_at_a_time = threading.Lock()  # two probes at once would measure each other
_one_a_question: dict[str, threading.Lock] = {}  # asked by two, answered once


class Measured(Config):
    """What one worker of a trial takes."""

    step_s: float = Field(ge=0, description="Seconds of a training step.")
    epoch_s: float = Field(ge=0, description="Seconds of an epoch, its validation reckoned as forwards only.")
    peak_gb: float = Field(ge=0, description="Largest memory of the process; of the GPU, where it trains on one.")
    device: str = Field(description="What it was measured on: cpu or cuda.")


class NotMeasured(Exception):
    """Nothing could be measured; the message says why."""


def probe(models: Sequence[Experiment], settings: Settings, gone: Gone = waiting) -> list[Measured]:
    """What each of these models takes, on this machine or on a node of the cluster.

    `gone` tells when whoever asked has left: nothing is measured for nobody. Raises NotMeasured, saying why.
    """
    with _turn(models, settings):
        if told := known(models, settings):
            return told
        if gone():
            raise NotMeasured(NOBODY)
        return _keep(models, settings, _measured(models, settings, gone))


def _turn(models: Sequence[Experiment], settings: Settings) -> threading.Lock:
    """What whoever asks has to hold."""
    if not settings.ray_address:
        return _one_at_a_time
    # By text: of a path, whose hash and comparison are Python, two threads could each come to a lock of their own.
    return _one_a_question.setdefault(str(_kept(models, settings)), threading.Lock())


def _measured(models: Sequence[Experiment], settings: Settings, gone: Gone) -> list[Measured]:
    if not settings.ray_address:
        return probe_here(models, settings, gone=gone)
    from service.cluster.probe_job import probe_on_cluster

    return probe_on_cluster(models, settings, gone=gone)


def known(models: Sequence[Experiment], settings: Settings) -> list[Measured]:
    """What an earlier probe of the same models measured; empty where there was none."""
    kept = _kept(models, settings)
    return [Measured.model_validate(each) for each in json.loads(kept.read_text())] if kept.exists() else []


def _keep(models: Sequence[Experiment], settings: Settings, told: list[Measured]) -> list[Measured]:
    if len(told) < len(models):
        raise NotMeasured("the probe ended early")
    kept = _kept(models, settings)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
    partial.write_text(json.dumps([each.model_dump() for each in told]))
    partial.replace(kept)
    return told


def _kept(models: Sequence[Experiment], settings: Settings) -> Path:
    """The same models, on the same machine or cluster with the same version of torch: the same file."""
    from importlib.metadata import version

    where = settings.ray_address or platform.node()
    name = hashlib.sha256(f"{asked(models)}{version('torch')}{where}".encode()).hexdigest()[:24]
    return settings.home / "probes" / f"{name}.json"


def asked(models: Sequence[Experiment]) -> str:
    """The models as the probe's process reads them: one a line."""
    return "".join(json.dumps(json.loads(model.to_json())) + "\n" for model in models)


def probe_here(
    models: Sequence[Experiment], settings: Settings, limit_s: float = LIMIT_S, *, gone: Gone = waiting
) -> list[Measured]:
    """Measure in a process of this machine. Raises NotMeasured."""
    on_gpu = models[0].resources.gpus_per_worker > 0
    environment = dict(os.environ) | ({} if on_gpu else {"CUDA_VISIBLE_DEVICES": ""})
    try:
        command = [sys.executable, "-m", "service.cluster.probe", str(settings.cache)]
        ended = run_while_wanted(command, asked(models), environment, limit_s, gone)
    except NobodyWaitsError:
        raise NotMeasured(NOBODY) from None
    except subprocess.TimeoutExpired:
        raise NotMeasured(
            f"a few steps took more than {limit_s:g} s; data that is not packed yet is packed by `fusegpt data pack`"
        ) from None
    if ended.returncode != 0:
        if ended.returncode == -signal.SIGKILL:
            raise NotMeasured("the probe was killed, as the system does where memory runs out")
        raise NotMeasured(last_word(ended.stderr) or f"the probe ended with {ended.returncode}")
    return answers(ended.stdout)


def answers(said: str) -> list[Measured]:
    """What was measured, out of all that the probe's process said."""
    found = []
    for line in said.splitlines():
        with contextlib.suppress(ValidationError):
            found.append(Measured.model_validate_json(line))
    return found


def last_word(said: str) -> str:
    """The last line that a process wrote: of one that failed, its error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def main(cache: Path, until: float) -> None:
    """Measure what is asked for on the input; the first to go where the machine's memory runs out.

    `until`: a time (Unix seconds) at which the process ends, however far it is: nobody waits for its answer then.
    """
    signal.setitimer(signal.ITIMER_REAL, max(until - time.time(), 1e-3) if until else 0.0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for line in sys.stdin:
        sys.stdout.write(measure(parse(json.loads(line)), cache).model_dump_json() + "\n")
        sys.stdout.flush()


def measure(experiment: Experiment, cache: Path) -> Measured:
    """Train a few steps in a folder that is thrown away, without fetching published weights."""
    from service.cluster.train import train_alone

    train, val = _samples(experiment, cache)
    batch, workers = experiment.training.batch_size, experiment.resources.workers_per_trial
    share = {"training.batch_size": max(batch // workers, 1), "training.epochs": LONG, "resources.workers_per_trial": 1}
    stamps: list[float] = []
    with tempfile.TemporaryDirectory(prefix="fusegpt-probe-") as folder:
        asked = _without_weights(experiment).override({**share, "training.checkpoint_every_steps": 0})
        train_alone(asked, Path(folder), cache, lambda _: None, lambda: _enough(stamps))
    steps = [after - before for before, after in zip(stamps[WARM_UP:], stamps[WARM_UP + 1 :], strict=False)]
    step_s = median(steps)
    batches = -(-train // batch) + FORWARD * -(-val // batch)
    peak_gb, device = _peak()
    return Measured(step_s=step_s, epoch_s=step_s * batches, peak_gb=peak_gb, device=device)


def _without_weights(experiment: Experiment) -> Experiment:
    from fusegpt.costs import without_weights

    return without_weights(experiment)


def _samples(experiment: Experiment, cache: Path) -> tuple[int, int]:
    """How many there are to train on and to validate on; packs the data where nobody has."""
    splits = experiment.task.build(experiment).open_splits(cache)
    return len(splits.train), len(splits.val)


def _enough(stamps: list[float]) -> bool:
    """Asked before each step: notes when, and says whether that is enough."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()  # else it would be the time to ask for a step, not to do it
    stamps.append(time.perf_counter())
    done = len(stamps) - 1 - WARM_UP
    return done >= 1 and (done >= STEPS or stamps[-1] - stamps[WARM_UP] > SECONDS)


def _peak() -> tuple[float, str]:
    import resource

    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1e9, "cuda"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, "cpu"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="service.cluster.probe", description="Measure a few training steps.")
    parser.add_argument("cache", type=Path, help="where packed data is kept")
    parser.add_argument("--until", type=float, default=0.0, help="end at this time (Unix seconds); 0 does not")
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    main(options.cache, options.until)
