"""`Experiment`: what to train, on what, how, and what to search. It holds settings only, no machinery.

A setting has one dotted spelling everywhere: `model.n_head` is the field, the override on the command line, the key
of the search space, the Tune parameter and the MLflow parameter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from fusegpt.config import Config, SettingError, closest, explain, flatten
from fusegpt.data import DataConfig
from fusegpt.models import ModelConfig
from fusegpt.search_config import Budget, SearchConfig
from fusegpt.search_space import divisible
from fusegpt.tasks import TaskConfig
from fusegpt.training.config import TrainingConfig

__all__ = ["Budget", "Experiment", "Resources", "SearchConfig", "parse"]

# A group whose class depends on one of its own fields: changing that field changes which other fields there are.
TAGS = {"task": "kind", "model": "kind", "data": "source"}


class Resources(Config):
    """What a trial takes of the cluster."""

    workers_per_trial: int = Field(default=1, ge=1, description="Processes that train one model together (DDP).")
    min_workers: int = Field(
        default=0, ge=0, description="With how few a trial goes on after a node was lost; 0 waits for all of them."
    )
    cpus_per_worker: float = Field(default=1.0, gt=0, description="CPUs that each process reserves.")
    gpus_per_worker: float = Field(default=0.0, ge=0, description="GPUs that each process reserves.")
    concurrent_trials: int = Field(default=0, ge=0, description="Trials at once at most; 0 runs as many as fit.")

    @property
    def fewest_workers(self) -> int:
        """With how few workers a trial goes on."""
        return self.min_workers or self.workers_per_trial

    @model_validator(mode="after")
    def _can_shrink(self) -> Resources:
        if self.min_workers > self.workers_per_trial:
            raise ValueError(
                f"min_workers: {self.min_workers} is more than workers_per_trial ({self.workers_per_trial}); "
                "write at most that, or 0"
            )
        return self


class Experiment(Config):
    """One experiment = one name, the same in the file, the command, MLflow, the registry and the endpoint."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="The name everywhere.")
    description: str = Field(default="", description="What it asks, in one sentence.")
    task: TaskConfig = Field(description="What is learnt and how it is judged.")
    model: ModelConfig = Field(description="The architecture.")
    data: DataConfig = Field(description="What it learns from.")
    training: TrainingConfig = Field(default=TrainingConfig(), description="How it is trained.")
    search: SearchConfig = Field(default=SearchConfig(), description="What is searched.")
    resources: Resources = Field(default=Resources(), description="What a trial takes.")

    @model_validator(mode="after")
    def _fits(self) -> Experiment:
        self.task.check(self.model, self.data)
        self.search.check(self.settings())
        return self

    def settings(self) -> dict[str, Any]:
        """Every setting under its dotted key. The values are JSON's."""
        nested = self.model_dump(mode="json")
        space = nested["search"].pop("space")
        return {**flatten(nested), "search.space": space}

    def override(self, settings: Mapping[str, Any]) -> Experiment:
        """This experiment with some settings changed, by dotted key.

        A group may be given whole ({"data": {"source": "kitti", "root": ...}}). Changing what tells the classes of a
        group apart ("data.source") starts from the new class's defaults and keeps the settings that both have.
        Raises SettingError naming the dotted key.
        """
        nested = self.model_dump(mode="json")
        for key, value in _spread(settings).items():
            _place(nested, key.split("."), value, key)
        _retag(nested, self)
        return parse(nested)

    def trial(self, drawn: Mapping[str, Any]) -> Experiment:
        """The experiment of one trial: the drawn settings, moved to where they divide."""
        rules = type(self.model).divisible
        settings = self.settings()
        settings.update(drawn)
        moved = divisible(settings, rules, self.search.space)
        return self.override({**drawn, **{key: moved[key] for key in rules if moved.get(key) != settings.get(key)}})

    def to_json(self) -> str:
        """The experiment as text, readable back by `parse(json.loads(text))`."""
        return json.dumps(self.model_dump(mode="json"), indent=2)


def parse(nested: Mapping[str, Any]) -> Experiment:
    """An experiment from plain JSON values. Raises SettingError with one line a problem, each with its dotted key."""
    try:
        return Experiment.model_validate(nested)
    except ValidationError as error:
        raise SettingError(explain(error, _tag_values(nested), known=flatten(nested))) from None


def _tag_values(nested: Mapping[str, Any]) -> list[str]:
    groups = [(nested.get(group), field) for group, field in TAGS.items()]
    return [str(value[field]) for value, field in groups if isinstance(value, Mapping) and field in value]


def _spread(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Groups given whole, as dotted keys; `search.space` and its domains stay as they are."""
    spread: dict[str, Any] = {}
    for key, value in settings.items():
        if key.startswith("search.space") or not isinstance(value, Mapping) or not value:
            spread[key] = value
        else:
            spread.update(_spread({f"{key}.{name}": inner for name, inner in value.items()}))
    return spread


def _place(nested: dict[str, Any], path: list[str], value: Any, key: str) -> None:
    """Put a value at its path. Unknown leaves are left to validation, which knows the new class of a group."""
    if key.startswith("search.space."):
        nested["search"]["space"][key.removeprefix("search.space.")] = value
        return
    *groups, leaf = path
    for group in groups:
        inner = nested.get(group)
        if not isinstance(inner, dict):
            raise SettingError(f"{key}: is no setting{closest(group, nested)}")
        nested = inner
    if not groups and leaf not in nested:
        raise SettingError(f"{key}: is no setting{closest(leaf, nested)}")
    nested[leaf] = value


def _retag(nested: dict[str, Any], before: Experiment) -> None:
    """Where a group changed its class: the new class's defaults, under the settings that somebody wrote.

    A default belongs to its class (each data source has its own split height), so one that was never changed goes.
    """
    for group, field in TAGS.items():
        old, now = getattr(before, group), nested[group]
        if now.get(field) == getattr(old, field):
            continue
        new = _class_of(group, now.get(field))
        was, untouched = flatten(old.model_dump(mode="json")), _defaults(type(old))
        kept = _defaults(new) if new else {}
        for key, value in flatten(now).items():
            common = key.split(".")[0] in (new.model_fields if new else {})
            if key not in was or value != was[key] or (common and (key not in untouched or value != untouched[key])):
                kept[key] = value
        nested[group] = {}
        for key, value in kept.items():
            _deepen(nested[group], key.split("."), value)


def _defaults(config: type[Config]) -> dict[str, Any]:
    """The settings of a class that need not be written, by dotted key."""
    return flatten(config.model_construct().model_dump(mode="json"))


def _deepen(nested: dict[str, Any], path: list[str], value: Any) -> None:
    """Put a value at its path, making the groups on the way."""
    for group in path[:-1]:
        nested = nested.setdefault(group, {})
    nested[path[-1]] = value


def _class_of(group: str, tag: object) -> type[Config] | None:
    """The class that `tag` names within `group`."""
    annotation: Any = Experiment.model_fields[group].annotation
    members: tuple[type[Config], ...] = getattr(annotation, "__args__", (annotation,))
    tagged = (member for member in members if member.model_fields[TAGS[group]].default == tag)
    return next(tagged, None)
