"""Checkpoints: folders that carry their experiment, with weights as safetensors and the rest as JSON.

<folder>/checkpoint/   experiment.json  model.safetensors  optimizer.safetensors  progress.json
<folder>/best/         experiment.json  model.safetensors  metrics.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn

from fusegpt.config import Config, SettingError, explain
from fusegpt.experiment import Experiment, parse
from fusegpt.training.folder import read_json, replace_folder, settle

C = TypeVar("C", bound=Config)


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file and what is wrong with it."""


class Progress(Config):
    """Where a training stands. With the weights and the optimiser it is all that resuming needs."""

    epoch: int = Field(default=0, ge=0, description="Finished epochs.")
    step: int = Field(default=0, ge=0, description="Optimiser steps taken, over all epochs.")
    sums: dict[str, float] = Field(default={}, description="Sums of the losses of the epoch that is under way.")
    best: float | None = Field(default=None, description="The best headline figure; null before the first epoch's end.")
    best_epoch: int = Field(default=0, ge=0, description="The epoch of the best headline figure.")
    fingerprint: str = Field(default="", description="The data that it learns from.")


class Scores(Config):
    """The figures of a kept model."""

    epoch: int = Field(ge=0, description="The epoch after which it was kept.")
    step: int = Field(ge=0, description="The steps that it had taken.")
    metrics: dict[str, float] = Field(description="Its figures, as reported.")


def save_checkpoint(
    target: Path, experiment: Experiment, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Replace the folder `target` by the whole state of a training."""

    def write(folder: Path) -> None:
        _write_model(folder, experiment, model)
        save_file(_named_state(model, optimizer), folder / "optimizer.safetensors")
        _write_json(folder / "progress.json", progress.model_dump(mode="json"))

    replace_folder(target, write)


def load_checkpoint(target: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved state into model and optimiser. Raises CheckpointError naming the file."""
    load_weights(target, model)
    _load_state(target / "optimizer.safetensors", model, optimizer)
    return _read(Progress, target / "progress.json")


def save_best(target: Path, experiment: Experiment, model: nn.Module, scores: Scores) -> None:
    """Replace the folder `target` by a model that is ready to use."""

    def write(folder: Path) -> None:
        _write_model(folder, experiment, model)
        _write_json(folder / "metrics.json", scores.model_dump(mode="json"))

    replace_folder(target, write)


def has_checkpoint(target: Path) -> bool:
    """Whether there is a checkpoint to go on from, after finishing a replacement that was cut short."""
    settle(target)
    return (target / "progress.json").exists()


def read_experiment(folder: Path) -> Experiment:
    """The experiment that a checkpoint carries. Raises CheckpointError naming the file."""
    file = folder / "experiment.json"
    try:
        return parse(_read_json(file))
    except SettingError as error:
        raise CheckpointError(f"{file}: {error}") from None


def read_scores(folder: Path) -> Scores:
    """The figures of a kept model. Raises CheckpointError naming the file."""
    return _read(Scores, folder / "metrics.json")


def load_weights(folder: Path, model: nn.Module) -> None:
    """Put the weights of a checkpoint into a model. Raises CheckpointError naming every key that does not match."""
    file = folder / "model.safetensors"
    try:
        missing, unexpected = load_model(model, file, strict=False)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: cannot be read as safetensors ({error})") from None
    except RuntimeError as error:
        raise CheckpointError(f"{file}: the shapes are not this model's. {error}") from None
    _same_keys(file, missing, unexpected)


def _same_keys(file: Path, missing: Any, unexpected: Any) -> None:
    """Raise CheckpointError where a file does not hold exactly what is asked for."""
    found = {"missing": sorted(missing), "left over": sorted(unexpected)}
    words = [f"{word}: {', '.join(keys)}" for word, keys in found.items() if keys]
    if words:
        raise CheckpointError(f"{file}: does not fit this model. {'; '.join(words)}")


def _write_model(folder: Path, experiment: Experiment, model: nn.Module) -> None:
    (folder / "experiment.json").write_text(experiment.to_json() + "\n", encoding="utf-8")
    save_model(model, str(folder / "model.safetensors"))


def _named_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state by the parameter's name: "<parameter>/<entry>", so that no order needs to be kept."""
    return {
        f"{name}/{entry}": value.contiguous()
        for name, parameter in model.named_parameters()
        for entry, value in optimizer.state.get(parameter, {}).items()
    }


def _load_state(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    try:
        saved = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: cannot be read as safetensors ({error})") from None
    parameters = dict(model.named_parameters())
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in saved.items():
        name, _, entry = key.rpartition("/")
        state.setdefault(name, {})[entry] = value
    # A parameter that no gradient has reached yet has no state, so nothing can be missing.
    _same_keys(file, (), set(state) - set(parameters))
    for name, entries in state.items():
        device = parameters[name].device
        optimizer.state[parameters[name]] = {entry: value.to(device) for entry, value in entries.items()}


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(file: Path) -> Any:
    try:
        return read_json(file)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _read(kind: type[C], file: Path) -> C:
    content = _read_json(file)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise CheckpointError(f"{file}: {explain(error)}") from None
