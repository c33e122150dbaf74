"""A spec is read as a person means it, and what is wrong in it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fusegpt.config import SettingError
from fusegpt.search_space import Choice, Integer, LogUniform
from service import spec as specs

FULL = """
experiment: fusion_waypoints
name: night_run
data: {source: kitti, root: /data/kitti, drives: [0001, 2011_09_26_drive_0005_sync]}
set: {training.epochs: 12, model.n_head: 8}
search:
  space:
    model.n_head: [1, 2, 4, 8]
    model.n_embd: {low: 64, high: 512, step: 64}
    training.lr: {low: 1e-4, high: 1e-2, log: true}
  algorithm: tpe
  trials: 32
  metric: val/ade_m
  budget: {hours: 4}
resources: {workers_per_trial: 2, gpus_per_worker: 1, concurrent_trials: 4}
"""


def test_a_full_spec_becomes_the_experiment_that_it_describes() -> None:
    spec = specs.parse_spec(FULL)
    experiment = specs.resolve(spec)
    assert spec.name == "night_run"
    assert experiment.data.source == "kitti"
    assert experiment.data.drives == ("0001", "2011_09_26_drive_0005_sync")
    assert (experiment.training.epochs, experiment.model.n_head) == (12, 8)
    assert experiment.search.space == {
        "model.n_head": Choice(values=(1, 2, 4, 8)),
        "model.n_embd": Integer(low=64, high=512, step=64),
        "training.lr": LogUniform(low=1e-4, high=1e-2),
    }
    assert (experiment.search.algorithm, experiment.search.trials, experiment.search.budget.hours) == ("tpe", 32, 4)
    assert (experiment.resources.workers_per_trial, experiment.resources.concurrent_trials) == (2, 4)


def test_a_spec_that_only_names_an_experiment_is_that_experiment() -> None:
    import experiments

    assert specs.resolve(specs.parse_spec("experiment: fusion_waypoints")) == experiments.load("fusion_waypoints")


def test_flags_win_over_the_spec() -> None:
    experiment = specs.resolve(specs.parse_spec(FULL), {"training.epochs": 3, "search.trials": 2})
    assert (experiment.training.epochs, experiment.search.trials) == (3, 2)


def test_the_same_spec_in_json_means_the_same(tmp_path: Path) -> None:
    spec = specs.parse_spec(FULL)
    file = tmp_path / "job.json"
    file.write_text(json.dumps(spec.model_dump()), encoding="utf-8")
    assert specs.resolve(specs.read_spec(file)) == specs.resolve(spec)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiment: fusion_waypoints\nserach: {trials: 2}", "serach: is no key of a spec (did you mean search?)"),
        ("experiment: x\nsearch: {trails: 2}", "search.trails: is no key of a spec (did you mean trials?)"),
        ("experiment: x\nresources: {gpu_per_worker: 2}", "did you mean gpus_per_worker?"),
        ("experiment: x\nset: {a.b: 1}\nset: {a.c: 2}", "job.yaml:3: set is written twice"),
        ("experiment: x\nset:\n  a.b: 1\n  a.b: 2", "job.yaml:4: a.b is written twice"),
        ("experiment: x\nset: [a.b]", "job.yaml: set: Input should be a mapping of settings"),
        ("experiment: x\nset:\n  a: {b", "job.yaml:3: "),
        ("name: x", "experiment: Field required"),
        ("- experiment", "must be a mapping that names an experiment"),
        ("", "must be a mapping that names an experiment"),
        ("experiment: &a x\nname: *a", "job.yaml:2: aliases (*name) are not read here"),
        ("experiment: x\nname: !!python/name:os.system", "job.yaml:2: "),
        ("experiment: x\n? [a, b]\n: 1", "job.yaml:2: a key must be a word"),
        ("[" * 5000, "nested too deeply"),
        ("experiment: \x00", "special characters are not allowed"),
    ],
)
def test_what_is_wrong_in_a_spec_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(specs.SpecError) as caught:
        specs.read_spec(file)
    assert said in str(caught.value)
    assert "job.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiment: fusion_waypoint", "did you mean fusion_waypoints?"),
        ("experiment: fusion_waypoints\nset: {training.epoch: 3}", "training.epoch: is no setting"),
        ("experiment: fusion_waypoints\ndata: {source: kitty}", "data"),
        ("experiment: fusion_waypoints\nsearch: {trials: none}", "search.trials: "),
        ("experiment: fusion_waypoints\nsearch: {space: {model.n_haed: [1, 2]}}", "did you mean model.n_head?"),
        (
            "experiment: fusion_waypoints\nsearch: {trials: 2}\nset: {search.trials: 3}",
            "search.trials: is written twice",
        ),
        ("experiment: fusion_waypoints\ndata: {seed: 2}\nset: {data: {seed: 3}}", "data.seed: is written twice"),
    ],
)
def test_a_setting_that_cannot_be_is_named_by_its_dotted_key(text: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        specs.resolve(specs.parse_spec(text))
    assert said in str(caught.value)


def test_a_file_that_is_too_large_missing_or_no_text_is_named(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("#" * (specs.SIZE_LIMIT_BYTES + 1), encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\x00")
    for file, said in (
        (large, "bytes; a spec has"),
        (binary, "no text in UTF-8"),
        (tmp_path / "none.yaml", "cannot be read"),
        (tmp_path / "job.toml", "is a .yaml or a .json file"),
    ):
        with pytest.raises(specs.SpecError, match=said) as caught:
            specs.read_spec(file)
        assert file.name in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        ("training.lr=1e-4", "training.lr", 1e-4),
        ("data.drives=[0001, 0005]", "data.drives", ["0001", "0005"]),
        ("data.root=/a b/c=d", "data.root", "/a b/c=d"),
        ("model.norm=no", "model.norm", "no"),
        ("model.pretrained=false", "model.pretrained", False),
        ("search.metric=", "search.metric", ""),
        ("search.space.model.n_head={low: 1, high: 8}", "search.space.model.n_head", {"low": 1, "high": 8}),
    ],
)
def test_an_assignment_reads_its_value_as_a_spec_does(text: str, key: str, value: object) -> None:
    assert specs.parse_assignment(text) == (key, value)


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training epochs=3", "training..epochs=3", "a.b={c"])
def test_an_assignment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(specs.SpecError):
        specs.parse_assignment(text)


_written = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(_written)
)
_keys = st.text(_written, max_size=100)  # YAML reads keys of up to 1,024 signs, and JSON may write one as six
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(_keys, inner), max_leaves=10)


class _Writer(yaml.SafeDumper):
    """PyYAML's own, which knows YAML 1.1, but for texts that are numbers by 1.2: these it puts in quotes, too."""


for _first, _resolvers in specs._Loader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _resolvers:
        _Writer.add_implicit_resolver(_tag, _pattern, [_first])


@given(_values)
def test_every_json_value_is_read_as_it_was_written(value: object) -> None:
    assert specs._load(json.dumps(value), "spec") == value


@given(_values)
@example({"0E0": ["1e5", "12e03", "no", "1_0", "2011-09-26"]})
def test_every_value_that_yaml_writes_is_read_as_it_was_written(value: object) -> None:
    assert specs._load(yaml.dump(value, Dumper=_Writer), "spec") == value
