"""`lineage`: how a trial of a population came to its weights, by the settings of one trial and then of another.

Trial 3 that took over the checkpoint of trial 2 after epoch 4 is trial 2 up to epoch 4, and itself from there on. So
every trial is one training whose settings change on the way, and can be run again as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.cluster.record import TRIAL, TrialRecord, read_trials, trial_folder
from service.errors import Refused
from service.events import Search


@dataclass(frozen=True)
class Stage:
    """Up to which epoch it trained by which settings, and whose they were."""

    until: int
    drawn: Mapping[str, Any]
    trial: int


def lineage(search: Search, record: TrialRecord) -> list[Stage]:
    """The stages of a trial up to its last epoch, in order; one where it never took over anything.

    Raises Refused where the record of a trial that it took over is gone, or does not tell what that began with.
    """
    records = {each.number: each for each in read_trials(search)}
    stages: list[Stage] = []
    present, until, before = record, record.epoch, record.epoch + 1
    while taken := [exchange for exchange in present.exchanges if exchange.epoch < before]:
        last = taken[-1]
        if last.epoch < until:  # else it has not trained since
            stages.append(Stage(until, last.drawn, present.number))
        if last.source not in records:
            raise _gone(search, present, last.source, last.epoch)
        present, until, before = records[last.source], last.epoch, last.epoch
    return [Stage(until, _begun(search, present), present.number), *reversed(stages)]


def in_words(stages: Sequence[Stage]) -> str:
    """ "trial 2 up to epoch 4, then trial 3 up to epoch 6"."""
    return ", then ".join(f"trial {stage.trial} up to epoch {stage.until}" for stage in stages)


def _begun(search: Search, record: TrialRecord) -> Mapping[str, Any]:
    """The settings before its first exchange."""
    if not record.exchanges:
        return record.drawn
    if record.began is None:
        raise Refused(
            f"{search.name}: the record of trial {record.number} does not tell the settings that it began with"
        )
    return record.began


def _gone(search: Search, record: TrialRecord, source: int, epoch: int) -> Refused:
    file = trial_folder(search, source) / TRIAL
    return Refused(
        f"{search.name}: trial {record.number} went on from trial {source} after epoch {epoch}, and the record of that "
        f"one is gone ({file}); without it the way to these weights cannot be gone again"
    )
