"""Several processes that train one model: started, listened to, stopped and replaced through Ray Train's TorchTrainer.

The training's own checkpoint in `folder` is what it resumes from; Ray Train places the processes, joins them in
torch.distributed (NCCL on GPU, gloo on CPU) and notices their death. Workers are stopped by word, not by force: a
killed worker group can keep its reservation of CPUs and GPUs.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError

from fusegpt.experiment import Experiment, Resources, parse
from fusegpt.training.report import Report, Result
from service.cluster import placement
from service.cluster.elastic import workers_now
from service.cluster.local_ray import connect
from service.cluster.losses import one_too_many
from service.cluster.mailbox import open_mailbox
from service.cluster.network import OverOwnInterface
from service.cluster.oom import OutOfMemoryError, surviving
from service.cluster.orphans import release_orphans
from service.cluster.train import keep_to_the_reserved
from service.errors import ServiceError
from service.jobs.retry import memory_cause
from service.settings import Settings

LISTEN_SECONDS = 0.2  # how long a word to stop may lie before it is passed on, and how often a worker asks for it
STARTS = 3  # how often Ray Train may fail to start a worker group (60 s each) before it is an error


class LostWorkersError(ServiceError):
    """Workers died, or could not be started, more often than they are replaced. The message says how they ended."""


def train_together(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    """Train over several processes; see `run_trial`. Lost ones are replaced, and go on from the last checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    with nullcontext() if ray.is_initialized() else connect(Settings.read(), dashboard=True):
        return _replacing_the_lost(experiment, folder, cache, report, should_stop)


def _replacing_the_lost(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    """One worker group after another, until one ends by itself or is lost once too often."""
    while True:
        placement.release(folder)
        release_orphans()
        try:
            return _attempt(experiment, folder, cache, report, should_stop)
        except LostWorkersError:
            if should_stop():
                return _as_kept(folder)
            if one_too_many(folder):
                raise
        except RayError as error:  # of the group's own processes: its mailbox, Ray Train's controller
            if should_stop():
                return _as_kept(folder)
            if one_too_many(folder):
                raise LostWorkersError(f"what keeps the workers together died: {_first_line(error)}") from error
        finally:
            placement.release(folder)
            shutil.rmtree(folder / "ray", ignore_errors=True)


def _as_kept(folder: Path) -> Result:
    """Of a trial that is told to stop and has lost its workers: it stands where its checkpoint does."""
    return Result({}, 0, 0, 0, folder / "best", stopped=True)


def _attempt(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None],
    should_stop: Callable[[], bool],
) -> Result:
    """One worker group, from its start to its end."""
    mailbox = open_mailbox()
    trainer = TorchTrainer(
        work,
        train_loop_config={
            "experiment": experiment.to_json(),
            "folder": str(folder),
            "cache": str(cache),
            "mailbox": mailbox,
            "run": f"{folder.name} {os.getpid()}",  # the same for all groups that replace each other: see `oom`
        },
        torch_config=OverOwnInterface(),
        scaling_config=scaling(experiment.resources, workers_now(experiment.resources)),
        run_config=RunConfig(
            name="workers",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=STARTS),
        ),
    )
    # In a thread of its own, where Ray Train leaves ctrl-C to us.
    with ThreadPoolExecutor(1, thread_name_prefix="worker-group") as starter:
        fit = starter.submit(trainer.fit)
        try:
            _listen(mailbox, fit, report, should_stop)
        except BaseException:
            ray.get(mailbox.stop.remote())
            raise
        _end(fit)
    result: Result | None = ray.get(mailbox.result.remote())
    ray.kill(mailbox)
    if result is None:
        raise LostWorkersError("the workers ended without a result")
    return result


def _listen(mailbox: Any, fit: Future[Any], report: Callable[[Report], None], should_stop: Callable[[], bool]) -> None:
    """Pass reports up and the word to stop down, until the worker group has ended."""
    told = False
    while not fit.done():
        heard: Report | None = ray.get(mailbox.hear.remote(LISTEN_SECONDS))
        if heard is not None:
            report(heard)
        if not told and should_stop():
            ray.get(mailbox.stop.remote())
            told = True


def _end(fit: Future[Any]) -> None:
    """Raise what ended the worker group: the training's own error, or LostWorkersError."""
    try:
        fit.result()
    except WorkerGroupError as error:
        raise _cause(list(error.worker_failures.values())) from error
    except ControllerError as error:
        raise LostWorkersError(f"the workers could not be started: {error.controller_failure}") from error
    except TrainingFailedError as error:
        raise LostWorkersError(str(error)) from error


def _cause(failures: list[Exception]) -> Exception:
    """Of several workers' errors the one to blame.

    Where a process died, that; above all where memory ran out. Else the training's own error: when one worker fails,
    the others fail with a broken connection. Where that is all there is, a host was lost, and Ray has not noticed yet.
    """
    lost = [failure for failure in failures if not _told_by_training(failure)]
    if ended := next(filter(None, (memory_cause(str(failure)) for failure in lost)), ""):
        return OutOfMemoryError(f"a worker ended: {ended}")
    if lost:
        return LostWorkersError(f"a worker died: {_first_line(lost[0])}")
    own = [failure for failure in failures if not _is_broken_connection(failure)]
    return own[0] if own else LostWorkersError(f"a worker lost the others: {_first_line(failures[0])}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _told_by_training(failure: Exception) -> bool:
    from ray.train.v2._internal.exceptions import RayTrainError

    return not isinstance(failure, RayError | RayTrainError)


def _is_broken_connection(failure: Exception) -> bool:
    from torch.distributed import DistError

    return isinstance(failure, DistError) or "gloo" in str(failure).lower() or "closed by peer" in str(failure)


def scaling(resources: Resources, workers: int) -> ScalingConfig:
    """What Ray Train reserves for so many workers: theirs, nothing for itself."""
    each = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        each["GPU"] = resources.gpus_per_worker
    return ScalingConfig(
        num_workers=workers,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker=each,
    )


def work(config: dict[str, Any]) -> None:
    """What each worker does. Runs in its process, with torch.distributed set up."""
    from fusegpt.training.loop import train
    from fusegpt.training.workers import Workers

    experiment = parse(json.loads(config["experiment"]))
    folder, mailbox = Path(config["folder"]), config["mailbox"]
    keep_to_the_reserved(experiment.resources)
    workers = Workers.current()
    if workers.writes:
        placement.remember(folder)
    told, stop = _voices(mailbox, workers.writes)
    with surviving(folder / f"process-{workers.rank}.json", config["run"]):
        result = train(experiment, folder, Path(config["cache"]), told, workers, stop)
    if workers.writes:
        ray.get(mailbox.finish.remote(result))


def _voices(mailbox: Any, first: bool) -> tuple[Callable[[Report], None], Callable[[], bool]]:
    """`report` and `should_stop` of one worker. The first speaks for all; the loop spreads its word to stop."""
    if not first:
        return lambda _: None, lambda: False
    asked_s = 0.0

    def tell(report: Report) -> None:
        nonlocal asked_s
        ray.get(mailbox.tell.remote(report))
        asked_s = 0.0  # whoever heard it may have decided to stop

    def stop() -> bool:
        nonlocal asked_s
        if time.monotonic() - asked_s < LISTEN_SECONDS:
            return False
        asked_s = time.monotonic()
        return bool(ray.get(mailbox.stopped.remote()))

    return tell, stop
