"""Every experiment, whatever it is: it builds, it can be written and searched, and it takes a step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import experiments
from fusegpt.config import Config, SettingError
from fusegpt.experiment import Experiment, parse
from fusegpt.predictor import Predictor
from fusegpt.training.loop import train

NAMES = experiments.names()

# What makes any experiment small enough for a test, where it has the setting.
SMALL: dict[str, Any] = {
    "training.epochs": 1,
    "training.batch_size": 4,
    "data.n_drives": 3,
    "data.seconds_per_drive": 8.0,
    "data.rate_hz": 2.0,
    "data.lidar_azimuths": 120,
    "data.lidar_rings": 8,
    "data.splits.gap_s": 0.0,
}


@pytest.fixture(params=NAMES)
def experiment(request: pytest.FixtureRequest) -> Experiment:
    return experiments.load(request.param)


def configs(of: type[Config], seen: set[type[Config]]) -> Iterator[type[Config]]:
    """A config class and every one that its fields can hold."""
    if of in seen:
        return
    seen.add(of)
    yield of
    for field in of.model_fields.values():
        for kind in _kinds(field.annotation):
            yield from configs(kind, seen)


def _kinds(annotation: Any) -> Iterator[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


@pytest.mark.parametrize("config", list(configs(Experiment, set())), ids=lambda config: config.__name__)
def test_every_setting_has_a_description_of_one_line(config: type[Config]) -> None:
    for name, field in config.model_fields.items():
        assert field.description, f"{config.__name__}.{name} has no description"
        assert "\n" not in field.description, f"{config.__name__}.{name} has more than one line"


def test_the_names_are_those_of_the_files() -> None:
    files = Path(experiments.__file__).parent.glob("*.py")
    assert sorted(file.stem for file in files if file.stem != "__init__") == NAMES


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=rf"there is no 'fusion_waypoint' \(did you mean {NAMES[0]}\?\)"):
        experiments.load("fusion_waypoint")


def test_it_says_what_it_asks(experiment: Experiment) -> None:
    assert experiment.description


def test_it_survives_being_written_and_read(experiment: Experiment) -> None:
    assert parse(json.loads(experiment.to_json())) == experiment


def test_its_search_space_contains_its_default(experiment: Experiment) -> None:
    settings = experiment.settings()
    for key, domain in experiment.search.space.items():
        assert domain.contains(settings[key]), f"{key}: the default {settings[key]!r} is not in {domain}"


def test_its_default_is_a_trial_of_its_own_search(experiment: Experiment) -> None:
    settings = experiment.settings()
    drawn = {key: settings[key] for key in experiment.search.space}
    assert experiment.trial(drawn) == experiment


def test_each_of_its_settings_is_a_dotted_key(experiment: Experiment) -> None:
    for key, value in experiment.settings().items():
        assert experiment.override({key: value}) == experiment, key


def test_its_json_schema_describes_every_setting(experiment: Experiment) -> None:
    schema = type(experiment).model_json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(type(experiment).model_fields)
    undescribed = [
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value
    ]
    assert not undescribed


def test_its_smoke_settings_are_its_own_and_make_it_smaller(experiment: Experiment) -> None:
    smoke = experiments.smoke(experiment.name)
    small = experiment.override(smoke)
    assert set(smoke) <= set(experiment.settings())
    assert small.training.epochs < experiment.training.epochs
    assert small.search.trials <= 2


@pytest.mark.slow
def test_its_smoke_run_trains_and_answers(experiment: Experiment, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    small = experiment.override(experiments.smoke(experiment.name))
    result = train(small, tmp_path / "trial", tmp_path)
    predictor = Predictor.load(result.best)
    (answer,) = predictor.predict([predictor.example()])
    assert set(answer) == {tensor.name for tensor in predictor.signature.outputs}


@pytest.mark.slow
def test_it_takes_a_step_and_changes_every_parameter(experiment: Experiment, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    known = experiment.settings()
    small = experiment.override({key: value for key, value in SMALL.items() if key in known})
    task = small.task.build(small)
    torch.manual_seed(0)
    model = task.build_model(fetch=False).train()
    split = task.open_splits(tmp_path).train
    batch = split.batch(torch.arange(min(4, len(split))).numpy())
    losses = task.losses(model, batch)
    assert losses["loss"].shape == (min(4, len(split)),)
    losses["loss"].mean().backward()
    untouched = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not untouched
