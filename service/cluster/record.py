"""What a search leaves on disk, from which it is taken up again: one `search.json`, and a `trial.json` a trial.

Plain JSON, replaced atomically: the driver may die at any moment. A trial whose state is "running" was interrupted and
goes on from the checkpoint in its folder; one that has ended never starts again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from fusegpt.config import Config, SettingError
from fusegpt.experiment import parse
from service.events import Search, Trial, TrialState, front_of

SEARCH, TRIAL, SPENT, FRONT = "search.json", "trial.json", "spent.json", "pareto.json"

Kept = TypeVar("Kept", bound=Config)


class Exchange(Config):
    """Where a trial of a population went on from another's checkpoint, with other settings."""

    epoch: int = Field(ge=1, description="After which epoch.")
    source: int = Field(ge=0, description="The number of the trial whose checkpoint it took.")
    value: float = Field(description="What it had reached itself.")
    drawn: dict[str, Any] = Field(description="The settings that it uses from there on, by dotted key.")


class TrialRecord(Config):
    """One trial as far as it has come."""

    number: int = Field(ge=0, description="Its place among the draws; 0 is the default settings.")
    drawn: dict[str, Any] = Field(description="The settings that it uses, by dotted key.")
    state: TrialState = Field(description="How it stands; running means interrupted where no search runs.")
    values: dict[int, float] = Field(default={}, description="Epoch -> the search's metric.")
    metrics: dict[str, float] = Field(default={}, description="All figures of the last epoch.")
    error: str = Field(default="", description="Why it failed, in one sentence.")
    seconds: float = Field(default=0.0, ge=0, description="Wall-clock seconds that it ran.")
    exchanges: tuple[Exchange, ...] = Field(default=(), description="With pbt: what it took over from others.")
    began: dict[str, Any] | None = Field(default=None, description="Its settings before its first exchange, if any.")

    def trial(self, search: Search) -> Trial:
        """The trial as observers see it."""
        best = (min if search.mode == "min" else max)(self.values.values(), default=None)
        return Trial(
            id=trial_id(self.number),
            number=self.number,
            drawn=self.drawn,
            folder=trial_folder(search, self.number),
            state=self.state,
            epoch=self.epoch,
            metrics=dict(self.metrics),
            best=best,
            error=self.error,
            seconds=self.seconds,
            exchanges=[exchange.model_dump() for exchange in self.exchanges],
        )

    @property
    def epoch(self) -> int:
        """The last finished epoch; 0 before the first."""
        return max(self.values, default=0)


class Spent(Config):
    """What a search has used up so far, over all its resumptions, and why it ended."""

    seconds: float = Field(default=0.0, ge=0, description="Wall-clock seconds while it ran.")
    redrawn: int = Field(default=0, ge=0, description="Draws that had too many parameters, and were never started.")
    ended: str = Field(default="", description="Why it ended before its last trial, in one sentence.")


def trial_id(number: int) -> str:
    return f"trial_{number:05d}"


def trial_folder(search: Search, number: int) -> Path:
    return search.folder / trial_id(number)


def write_trial(search: Search, record: TrialRecord) -> None:
    """Keep a trial's record in its folder."""
    _write(trial_folder(search, record.number) / TRIAL, record.model_dump_json(indent=2))


def read_trials(search: Search) -> list[TrialRecord]:
    """The records of all trials that have been started, by number. Raises ValueError naming a broken file."""
    return [_read(TrialRecord, path) for path in sorted(search.folder.glob(f"trial_*/{TRIAL}"))]


def write_search(search: Search) -> None:
    """Keep what a search asks, so that it can be taken up by its name."""
    nested = {
        "name": search.name,
        "metric": search.metric,
        "mode": search.mode,
        "experiment": json.loads(search.experiment.to_json()),
    }
    _write(search.folder / SEARCH, json.dumps(nested, indent=2))


def read_search(folder: Path) -> Search:
    """The search that was kept in `folder`. Raises SettingError where there is none."""
    path = folder / SEARCH
    if not path.exists():
        raise SettingError(f"{path}: is not there; no search was started under this name")
    nested = json.loads(path.read_text())
    mode: Literal["min", "max"] = nested["mode"]
    return Search(nested["name"], parse(nested["experiment"]), folder, nested["metric"], mode)


def write_front(search: Search, trials: list[Trial]) -> None:
    """Keep which trials nothing beats, where the search has several objectives."""
    names = search.experiment.search.objectives
    if not names:
        return
    rows = [
        {"trial": trial.id, search.metric: trial.best, **{name: trial.metrics[name] for name in names}}
        for trial in front_of(search, trials)
    ]
    _write(search.folder / FRONT, json.dumps(rows, indent=2))


def write_spent(folder: Path, spent: Spent) -> None:
    """Keep what a search has used up."""
    _write(folder / SPENT, spent.model_dump_json(indent=2))


def read_spent(folder: Path) -> Spent:
    """What the search in `folder` has used up; nothing before its start. Raises ValueError naming a broken file."""
    path = folder / SPENT
    return _read(Spent, path) if path.exists() else Spent()


def _read(kind: type[Kept], path: Path) -> Kept:
    try:
        return kind.model_validate_json(path.read_text())
    except ValidationError as error:
        raise ValueError(f"{path}: is no record of a search: {error.errors()[0]['msg']}") from None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
