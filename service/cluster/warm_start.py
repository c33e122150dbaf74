"""Warm start: the trials of earlier searches of the same experiment, as far as they say something about this one.

What is found when a search starts is kept in its folder: taken up again it learns from the same, whatever the earlier
ones have become.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from fusegpt.config import Config, SettingError
from fusegpt.training.folder import read_json, write_text
from service.cluster.record import SEARCH, TrialRecord, read_search, read_trials, trial_folder
from service.events import Search

KEPT = "warm_start.json"
AUTO = "auto"
# What may differ without making an earlier trial's figure another one.
FREE = ("data.root", "training.seed", "training.checkpoint_every_steps", "training.precision", "description", "name")


class Earlier(Config):
    """A trial of an earlier search, in the terms of this one."""

    search: str = Field(description="The search that it was in.")
    number: int = Field(ge=0, description="Its number there.")
    drawn: dict[str, Any] = Field(description="Its settings of what is searched now.")
    values: dict[int, float] = Field(description="Epoch -> the metric.")
    stopped: bool = Field(description="Whether it was stopped early.")
    costs: dict[str, float] = Field(default={}, description="What its model costs, where that was measured.")

    def best(self, mode: str) -> float:
        return (min if mode == "min" else max)(self.values.values())


def warm_start(search: Search, cache: Path, fingerprint: Callable[[], str] | None = None) -> list[Earlier]:
    """What `search.warm_start` names, of the searches beside this one's folder.

    `fingerprint` tells that of the data; by default the data is opened, and packed under `cache` where it has to be.
    Raises SettingError where a named search is not there or says nothing about this one, with the reason.
    """
    names = search.experiment.search.warm_start
    kept = search.folder / KEPT
    if not names:
        return []
    if kept.exists():
        return [Earlier.model_validate(row) for row in read_json(kept)]
    here = functools.cache(fingerprint or (lambda: _fingerprint(search, cache)))
    found = [one for name in _named(search, names) for one in _of(search, name, here, auto=name not in names)]
    search.folder.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps([one.model_dump() for one in found]))
    return found


def _fingerprint(search: Search, cache: Path) -> str:
    return search.experiment.task.build(search.experiment).open_splits(cache).fingerprint


def first_of(search: Search, earlier: list[Earlier]) -> list[dict[str, Any]]:
    """The settings of the best earlier trial, to be tried right after the defaults."""
    pick = min if search.mode == "min" else max
    best = pick(earlier, key=lambda one: one.best(search.mode), default=None)
    space = search.experiment.search.space
    default = search.experiment.settings()
    if best is None or all(best.drawn[key] == default[key] for key in space):
        return []
    return [best.drawn]


def _named(search: Search, names: tuple[str, ...]) -> list[str]:
    """The names, with `auto` spelt out: every other search beside this one, the oldest first."""
    others = sorted(file.parent.name for file in search.folder.parent.glob(f"*/{SEARCH}"))
    auto = [name for name in others if name != search.name and name not in names]
    return [one for name in names for one in (auto if name == AUTO else [name])]


def _of(search: Search, name: str, fingerprint: Callable[[], str], *, auto: bool) -> list[Earlier]:
    """What an earlier search says; nothing, where it was not asked for by name and fits not."""
    try:
        there = read_search(search.folder.parent / name)
        _comparable(search, there)
        found = list(_trials(search, there, fingerprint))
        if not found:
            raise SettingError("it has no trial that ended with a figure, on this data, within this search.space")
    except SettingError as error:
        if auto:
            return []
        raise SettingError(f"search.warm_start: nothing can be learnt from {name}: {error}") from None
    return found


def _comparable(here: Search, there: Search) -> None:
    if there.experiment.name != here.experiment.name:
        raise SettingError(f"it is a search of {there.experiment.name}, not of {here.experiment.name}")
    if (there.metric, there.mode) != (here.metric, here.mode):
        raise SettingError(f"it is judged by {there.metric}, not by {here.metric}")
    ours, theirs = here.experiment.settings(), there.experiment.settings()
    for key in sorted(set(ours) | set(theirs)):
        if key in FREE or key in here.experiment.search.space or key.split(".")[0] in ("search", "resources"):
            continue
        if key not in there.experiment.search.space and ours.get(key) != theirs.get(key):
            raise SettingError(f"{key} is {theirs.get(key)!r} there and {ours.get(key)!r} here")


def _trials(here: Search, there: Search, fingerprint: Callable[[], str]) -> Iterator[Earlier]:
    space, ours = here.experiment.search.space, here.experiment.settings()
    for record in read_trials(there):
        if record.state not in ("finished", "stopped") or not _finite(record.values) or record.exchanges:
            continue
        settings = {**there.experiment.settings(), **record.drawn}
        drawn = {key: settings[key] for key in space}
        elsewhere = {*there.experiment.search.space, *record.drawn} - set(space)
        fits = all(domain.contains(drawn[key]) for key, domain in space.items())
        fits = fits and all(settings[key] == ours[key] for key in elsewhere)
        if fits and _same_data(record, there, fingerprint):
            yield Earlier(
                search=there.name,
                number=record.number,
                drawn=drawn,
                values=record.values,
                stopped=record.epoch < there.experiment.training.epochs,
                costs={name: value for name, value in record.metrics.items() if "/" not in name},
            )


def _finite(values: Mapping[int, float]) -> bool:
    return bool(values) and all(math.isfinite(value) for value in values.values())


def _same_data(record: TrialRecord, there: Search, fingerprint: Callable[[], str]) -> bool:
    """By the fingerprint in the trial's checkpoint."""
    file = trial_folder(there, record.number) / "checkpoint" / "progress.json"
    return file.exists() and read_json(file).get("fingerprint") == fingerprint()
