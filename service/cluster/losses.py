"""How often the processes of a trial were lost in a row: with nothing kept in between. A note in the trial's folder.

A host may be preempted many times in a trial of a week, and each time the trial goes on from a later checkpoint. One
that is lost again and again at the same checkpoint would be lost there for ever. So there is no limit but this one:
what makes progress comes to its end, or to that of its budget.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from fusegpt.config import Config
from fusegpt.training.folder import read_json, write_text

NOTE = "losses.json"
RESTARTS = 3  # how often a trial is taken up again from one and the same checkpoint


class Losses(Config):
    """Where a trial was lost last, and how often by then."""

    epoch: int = Field(default=0, ge=0, description="Finished epochs of its checkpoint.")
    step: int = Field(default=0, ge=0, description="Steps of its checkpoint.")
    in_a_row: int = Field(default=0, ge=0, description="How often it was lost at that checkpoint.")
    in_all: int = Field(default=0, ge=0, description="How often it was lost.")

    def another(self, epoch: int, step: int) -> Losses:
        """One loss more, at a checkpoint of so many epochs and steps."""
        further = (epoch, step) > (self.epoch, self.step)
        epoch, step = max((epoch, step), (self.epoch, self.step))
        return Losses(epoch=epoch, step=step, in_a_row=1 if further else self.in_a_row + 1, in_all=self.in_all + 1)

    @property
    def too_many(self) -> bool:
        return self.in_a_row > RESTARTS


def one_too_many(trial: Path) -> bool:
    """Count one more loss of the trial of this folder. Whether it is given up: who goes on all the same begins anew."""
    losses = read_losses(trial).another(*_reached(trial))
    trial.mkdir(parents=True, exist_ok=True)
    kept = losses.model_copy(update={"in_a_row": 0}) if losses.too_many else losses
    write_text(trial / NOTE, kept.model_dump_json(indent=2))
    return losses.too_many


def read_losses(trial: Path) -> Losses:
    """What is noted in the folder; none where no note can be read."""
    try:
        return Losses.model_validate(read_json(trial / NOTE))
    except (ValueError, ValidationError):
        return Losses()


def _reached(trial: Path) -> tuple[int, int]:
    """Epochs and steps of the checkpoint; none where it cannot be read, as when its replacement was cut short."""
    try:
        progress = read_json(trial / "checkpoint" / "progress.json")
    except ValueError:
        return 0, 0
    return progress.get("epoch", 0), progress.get("step", 0)
