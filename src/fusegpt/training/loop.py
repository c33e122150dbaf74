"""The training loop: the only one. It is told how to report, not to whom, and can be killed and taken up anywhere.

What a step does is a function of the weights, the optimiser and (seed, epoch, step): the order of the samples, the
augmentation, dropout and the learning rate all follow from them. So a training that was killed and goes on from its
checkpoint ends with the same numbers as one that never was, and several workers with the same as one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from torch.nn.utils import clip_grad_norm_

from fusegpt.experiment import Experiment
from fusegpt.tasks.task import Task
from fusegpt.training import seed
from fusegpt.training.batches import Batches, Share
from fusegpt.training.checkpoint import (
    Progress,
    Scores,
    has_checkpoint,
    load_checkpoint,
    read_experiment,
    save_best,
    save_checkpoint,
)
from fusegpt.training.evaluate import judge_together
from fusegpt.training.folder import settle
from fusegpt.training.history import append_history, read_history, rewind_history
from fusegpt.training.meter import Meter
from fusegpt.training.optim import build_optimizer, lr_at, set_lr
from fusegpt.training.precision import autocast
from fusegpt.training.report import Report, Result, TrainingError
from fusegpt.training.workers import Workers

__all__ = ["Report", "Result", "TrainingError", "train"]

SETTLE_EVERY = 16  # steps between two looks at the losses: often enough to stop early, seldom enough to cost nothing


def train(
    experiment: Experiment,
    folder: Path,
    cache: Path,
    report: Callable[[Report], None] = lambda _: None,
    workers: Workers | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train an experiment in `folder`, from its checkpoint where it has one.

    `report` is called after each epoch on every worker, with the same figures. An epoch can be reported twice, by the
    process that was killed and by the one that goes on, never not at all. `should_stop` is asked before each step;
    where it says yes on any worker, the state is kept and all return. `workers` are those of torch.distributed where
    that is initialised, else this process alone; several must share `folder`.

    Raises TrainingError, DataError or CheckpointError, each naming the setting, the step or the file.
    """
    training = _Training(experiment, folder, cache, workers or Workers.current())
    if training.progress.epoch:
        report(training.report())
    while training.progress.epoch < experiment.training.epochs:
        if training.steps_of_epoch(should_stop):
            training.end_epoch()
            report(training.report())
        else:
            training.save()
            return training.result(stopped=True)
    return training.result(stopped=False)


class _Training:
    """One training and its present state."""

    def __init__(self, experiment: Experiment, folder: Path, cache: Path, workers: Workers) -> None:
        self.experiment, self.folder, self.workers = experiment, folder, workers
        self.config = experiment.training
        self.task: Task = experiment.task.build(experiment)
        self.splits = workers.first_once(lambda: self.task.open_splits(cache))
        for part in ("train", "val"):
            if not len(getattr(self.splits, part)):
                raise TrainingError(
                    f"data.splits: leaves no sample in the {part} split; change its fractions or drives"
                )
        seed.seed_torch(seed.WEIGHTS, self.config.seed)
        self.model = workers.prepare(self.task.build_model())
        self.module = workers.wrap(self.model)
        self.optimizer = build_optimizer(self.model, self.config)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.batches = Batches(self.splits.train, self.config.batch_size, self.config.seed, workers)
        self.steps = self.batches.steps * self.config.epochs
        self.progress = self._resume()
        self.seen, self.seconds = 0, 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def best(self) -> Path:
        return self.folder / "best"

    @property
    def history(self) -> Path:
        return self.folder / "history.jsonl"

    def steps_of_epoch(self, should_stop: Callable[[], bool]) -> bool:
        """The steps that the present epoch still lacks. False where it was asked to stop before them."""
        self.module.train()
        meter = Meter(self.progress.sums, self.workers)
        start, epoch = time.perf_counter(), self.progress.epoch
        done = self.progress.step - epoch * self.batches.steps
        self.seen = 0
        finished = True
        for share in self.batches.epoch(epoch, done):
            if self.workers.any(should_stop()):
                finished = False
                break
            self._step(share, meter)
            self._keep_up(meter)
        meter.settle()
        self._move(sums=meter.sums)
        self.seconds = time.perf_counter() - start
        return finished

    def end_epoch(self) -> None:
        """Judge, keep the best, write the history and the checkpoint, in the order that makes each safe to repeat."""
        figures = judge_together(self.task, self.model, self.splits.val, self.workers, self.config.batch_size)
        scores = self._scores({f"val/{name}": value for name, value in figures.items()})
        self._move(epoch=scores.epoch, sums={})
        headline = self.task.headline
        value = scores.metrics[headline.name]
        if self.progress.best is None or headline.better(value, self.progress.best):
            self._move(best=value, best_epoch=scores.epoch)
            if self.workers.writes:
                save_best(self.best, self.experiment, self.model, scores)
        if self.workers.writes:
            append_history(self.history, scores)
        self.save()

    def save(self) -> None:
        """Keep the present state. All workers return once it is there."""
        if self.workers.writes:
            save_checkpoint(self.checkpoint, self.experiment, self.model, self.optimizer, self.progress)
        self.workers.barrier()

    def report(self) -> Report:
        """The epoch that ended last."""
        last = read_history(self.history)[-1]
        return Report(last.epoch, self.config.epochs, last.step, self.steps, last.metrics, self.checkpoint)

    def result(self, stopped: bool) -> Result:
        """How it ended."""
        kept = [row.metrics for row in read_history(self.history) if row.epoch == self.progress.best_epoch]
        metrics = kept[0] if kept else {}
        done = self.progress
        return Result(metrics, done.best_epoch, done.epoch, done.step, self.best, stopped)

    def _step(self, share: Share, meter: Meter) -> None:
        step = self.progress.step
        seed.seed_torch(seed.STEP, self.config.seed, step, self.workers.rank)
        set_lr(self.optimizer, lr_at(step, self.steps, self.config))
        with autocast(self.workers.device, self.config.precision):
            losses = self.task.losses(self.module, share.batch)
        self.optimizer.zero_grad(set_to_none=True)
        (losses["loss"].float().sum() * share.scale).backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip:
            clip_grad_norm_(self.parameters, self.config.grad_clip)
        self.optimizer.step()
        self._move(step=step + 1)
        meter.add(step + 1, losses, share.own)
        self.seen += share.own

    def _keep_up(self, meter: Meter) -> None:
        """After a step: look at the losses from time to time, keep the state as often as is asked for."""
        step, every = self.progress.step, self.config.checkpoint_every_steps
        keep = every > 0 and step % every == 0 and step % self.batches.steps != 0
        if keep or step % SETTLE_EVERY == 0:
            meter.settle()
        if keep:
            self._move(sums=meter.sums)
            self.save()

    def _scores(self, metrics: dict[str, float]) -> Scores:
        """The figures of the epoch that has just been judged."""
        headline = self.task.headline.name
        if not math.isfinite(metrics.get(headline, math.nan)):
            raise TrainingError(
                f"epoch {self.progress.epoch + 1}: {headline} is not a finite number. Try a lower training.lr, or "
                "look for NaN in the data."
            )
        sums, step = Meter(self.progress.sums, self.workers), self.progress.step
        seen = self.workers.sum_by_name({"seen": self.seen}, ["seen"])["seen"]
        own = {"lr": lr_at(step - 1, self.steps, self.config), "samples_per_s": seen / max(self.seconds, 1e-9)}
        return Scores(
            epoch=self.progress.epoch + 1,
            step=step,
            metrics={**sums.means(len(self.splits.train)), **metrics, **own},
        )

    def _resume(self) -> Progress:
        """The state to go on from: the checkpoint's, or the beginning."""
        fresh = Progress(fingerprint=self.splits.fingerprint)
        if self.workers.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            settle(self.checkpoint)
            settle(self.best)
        self.workers.barrier()
        if has_checkpoint(self.checkpoint):
            self._refuse_other_settings()
            fresh = load_checkpoint(self.checkpoint, self.model, self.optimizer)
            self._refuse_other_data(fresh)
        if self.workers.writes:
            rewind_history(self.history, fresh.epoch)
        self.workers.barrier()
        return fresh

    def _refuse_other_settings(self) -> None:
        before = read_experiment(self.checkpoint).settings()
        for key, value in self.experiment.settings().items():
            if key.split(".")[0] not in ("task", "model", "training") or key == "training.checkpoint_every_steps":
                continue
            if before.get(key) != value:
                raise TrainingError(
                    f"{self.checkpoint}: holds a training with {key} = {before.get(key)!r}, not {value!r}. "
                    "Go on with its settings, or train in another folder."
                )

    def _refuse_other_data(self, progress: Progress) -> None:
        if progress.fingerprint != self.splits.fingerprint:
            raise TrainingError(
                f"{self.checkpoint}: has learnt from other data ({progress.fingerprint}, now "
                f"{self.splits.fingerprint}). Go back to it, or train in another folder."
            )

    def _move(self, **changes: object) -> None:
        self.progress = self.progress.model_copy(update=changes)
