"""What goes over the wire of searches as they were tracked."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field

from fusegpt.config import Config
from service.jobs.journal import finite
from service.registry.version import Version
from service.tracking import SearchRow, TrialRow


class SearchView(Config):
    """One search as it was tracked."""

    name: str = Field(description="Its name; a job's, where a job ran it.")
    experiment: str = Field(description="The experiment's name.")
    state: str = Field(description="running, finished, failed or interrupted.")
    metric: str = Field(description="What decides.")
    mode: str = Field(description="Whether less (min) or more (max) of it is better.")
    best: float | None = Field(description="The best value so far; null where none is known.")
    best_trial: str = Field(description="The trial that has it; empty before the search has ended.")
    trials: int = Field(description="How many it had when it ended.")
    started: AwareDatetime = Field(description="When it began.")
    seconds: float = Field(description="Wall-clock seconds; 0 while it runs.")
    error: str = Field(description="Why it failed, in one sentence.")
    folder: str = Field(description="Where its records and weights are, on the service's disk.")
    run_id: str = Field(description="Its parent run in MLflow.")

    @classmethod
    def of(cls, row: SearchRow) -> SearchView:
        shown = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate({**shown, "best": finite(row.best), "folder": str(row.folder)})


class SearchTrialView(Config):
    """One trial as it was tracked, and what became of it."""

    id: str = Field(description="Its name within the search.")
    number: int = Field(description="Its place among the draws; 0 is the default settings.")
    search: str = Field(description="The search's name.")
    state: str = Field(description="running, finished, stopped (early), cancelled, failed or interrupted.")
    epoch: int = Field(description="Epochs done.")
    best: float | None = Field(description="Its best value of the search's metric.")
    drawn: dict[str, Any] = Field(description="What the search chose, by dotted key.")
    settings: dict[str, Any] = Field(description="Every setting of the training by dotted key, as MLflow shows it.")
    metrics: dict[str, float | None] = Field(description="Figures of its last epoch.")
    seconds: float = Field(description="Wall-clock seconds that it ran.")
    error: str = Field(description="Why it failed, in one sentence.")
    folder: str = Field(description="Where its weights are, on the service's disk.")
    run_id: str = Field(description="Its run in MLflow.")
    version: int | None = Field(description="The version that it was registered as; null where it was not.")
    gate: str = Field(description="What the gate said of that version, with its interval; empty where not asked.")

    @classmethod
    def of(cls, row: TrialRow, version: Version | None) -> SearchTrialView:
        shown = {name: getattr(row, name) for name in cls.model_fields if name not in ("version", "gate")}
        return cls.model_validate(
            {
                **shown,
                "best": finite(row.best),
                "drawn": dict(row.drawn),
                "settings": dict(row.settings),
                "metrics": {name: finite(value) for name, value in row.metrics.items()},
                "folder": str(row.folder),
                "version": version.number if version else None,
                "gate": version.reason if version else "",
            }
        )


class SearchList(Config):
    """Searches, newest first."""

    searches: list[SearchView] = Field(description="As MLflow has them.")
    champions: dict[str, int | None] = Field(description="Experiment -> its champion's version; null for none.")


class FrontView(Config):
    """The trials of a search that none beats in all of its objectives."""

    search: str = Field(description="The search's name.")
    metric: str = Field(description="What decides.")
    objectives: list[str] = Field(description="What is to be small beside it.")
    front: list[dict[str, Any]] = Field(description="The trials, the best by the metric first.")


class BestView(Config):
    """A best trial and its search."""

    search: SearchView = Field(description="The search that it is of.")
    trial: SearchTrialView = Field(description="The trial.")
