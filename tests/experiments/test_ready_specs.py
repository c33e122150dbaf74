"""The specs that come with the experiments: each is read as a person's would be, and asks what it says that it asks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import torch

import experiments
from fusegpt.config import SettingError
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.nn.config import NormName
from fusegpt.search_space import Choice
from service.commands.completion import to_run
from service.commands.job import spec_of
from service.settings import Settings
from service.spec import read_spec, resolve

SPECS = sorted((Path(experiments.__file__).parent / "specs").iterdir())
ABLATION = Path(experiments.__file__).parent / "specs" / "fusion_ablation.yaml"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_ready_spec_describes_an_experiment_whose_defaults_lie_in_its_search(path: Path) -> None:
    experiment = resolve(read_spec(path))
    settings = experiment.settings()
    outside = {
        key: settings[key] for key, domain in experiment.search.space.items() if not domain.contains(settings[key])
    }
    assert not outside


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_ready_spec_is_no_experiment_of_its_own(path: Path) -> None:
    assert path.stem not in experiments.names()
    assert read_spec(path).experiment in experiments.names()


def test_a_ready_spec_is_submitted_by_its_name_with_changes_on_top() -> None:
    settings = Settings.read({"FUSEGPT_HOME": "/nowhere"})
    named = spec_of("fusion_ablation", ["search.trials=12"], "", "", settings)
    by_file = spec_of(str(ABLATION), ["search.trials=12"], "", "", settings)
    assert named == by_file
    assert named["experiment"] == "fusion_waypoints"
    assert named["set"]["search.trials"] == 12
    assert "model.norm" in named["set"]["search.space"]


def test_a_path_of_a_job_is_where_it_was_submitted_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = ["data.path=book.txt", "model.pretrained=../gpt2", "model.norm=rmsnorm"]
    settings = Settings.read({"FUSEGPT_HOME": "/nowhere"})
    asked = spec_of("language_model", written, "", "", settings)["set"]
    assert asked["data.path"] == str(tmp_path / "book.txt")
    assert asked["model.pretrained"] == str(tmp_path.parent / "gpt2")
    assert asked["model.norm"] == "rmsnorm"
    away = Settings.read({"FUSEGPT_HOME": "/nowhere", "FUSEGPT_ADDRESS": "http://head:8701"})
    assert spec_of("language_model", written, "", "", away)["set"]["data.path"] == "book.txt"


def test_a_pretrained_that_is_no_path_stays_what_it_is() -> None:
    settings = Settings.read({"FUSEGPT_HOME": "/nowhere"})
    assert spec_of("fusion_waypoints", ["model.pretrained=true"], "", "", settings)["set"]["model.pretrained"] is True


def test_a_misspelt_ready_spec_is_told_its_right_spelling() -> None:
    with pytest.raises(SettingError, match=r"there is no 'fusion_ablatio' \(did you mean fusion_ablation\?\)"):
        experiments.load("fusion_ablatio")


def test_ready_specs_are_completed_by_the_shell() -> None:
    assert to_run("fusion_") == ["fusion_ablation", "fusion_waypoints"]


def test_the_fusion_ablation_searches_heads_width_depth_dropouts_and_every_norm() -> None:
    search = resolve(read_spec(ABLATION)).search
    assert set(search.space) == {
        "model.n_head",
        "model.n_embd",
        "model.n_layer",
        "model.embd_pdrop",
        "model.attn_pdrop",
        "model.resid_pdrop",
        "model.norm",
    }
    norms = search.space["model.norm"]
    assert isinstance(norms, Choice)
    assert set(norms.values) == set(get_args(NormName))


def test_the_fusion_ablation_stops_no_trial_early_so_that_all_are_judged_alike() -> None:
    assert resolve(read_spec(ABLATION)).search.algorithm == "random"


def test_the_fusion_ablation_measures_what_a_model_costs_so_that_the_error_can_be_weighed_against_it() -> None:
    assert resolve(read_spec(ABLATION)).search.costs == ("latency_ms", "parameters")


@pytest.mark.parametrize("name", ["norms_fusion", "norms_language"])
def test_the_norms_are_each_tried_once_at_each_batch_size_and_seed(name: str) -> None:
    search = resolve(read_spec(SPECS[0].parent / f"{name}.yaml")).search
    assert set(search.space) == {"model.norm", "training.batch_size", "training.seed"}
    choices = [domain for domain in search.space.values() if isinstance(domain, Choice)]
    assert len(choices) == 3
    assert (search.algorithm, search.trials) == ("random", math.prod(len(choice.values) for choice in choices))


def test_no_encoder_of_the_norms_search_sees_the_other_samples_of_a_batch() -> None:
    model = resolve(read_spec(SPECS[0].parent / "norms_fusion.yaml"), {"model.norm": "layernorm"}).model
    assert isinstance(model, FusionConfig)
    with torch.device("meta"):
        names = [type(module).__name__ for module in model.build().modules()]
    assert "LayerNorm" in names
    assert not [name for name in names if "BatchNorm" in name]


@pytest.mark.parametrize("norm", ["instancenorm", "batchnorm"])
def test_a_norm_that_looks_ahead_is_refused_on_text(norm: str) -> None:
    with pytest.raises(SettingError, match=rf"model\.norm \({norm}\)"):
        resolve(read_spec(SPECS[0].parent / "norms_language.yaml"), {"model.norm": norm})


@pytest.mark.parametrize("norm", get_args(NormName))
@pytest.mark.parametrize("n_head", [1, 8])
def test_the_fusion_model_takes_every_norm_of_the_ablation(norm: str, n_head: int) -> None:
    experiment = resolve(read_spec(ABLATION), {"model.norm": norm, "model.n_head": n_head, "model.n_embd": 32})
    assert isinstance(experiment.model, FusionConfig)
    assert (experiment.model.norm, experiment.model.n_head) == (norm, n_head)
