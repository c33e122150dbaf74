"""`--smoke`: the experiment's own small settings, under what the person says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import experiments
from fusegpt.config import SettingError
from service.cli import app
from service.commands.job import experiment_of, smoke_of
from service.settings import Settings


def asked(job: str, *assignments: str, data: str = "") -> dict[str, object]:
    settings = Settings.read({})
    return experiment_of(job, [*smoke_of(job, data), *assignments], data, settings).settings()


@pytest.mark.parametrize("name", experiments.names())
def test_smoke_is_what_the_experiment_states(name: str) -> None:
    settings = asked(name)
    assert {key: settings[key] for key in experiments.smoke(name)} == experiments.smoke(name)


def test_what_a_person_sets_wins_over_smoke() -> None:
    assert asked("translation", "training.epochs=2")["training.epochs"] == 2


def test_smoke_wins_over_a_spec(tmp_path: Path) -> None:
    spec = tmp_path / "job.yaml"
    spec.write_text("experiment: translation\nset: {training.epochs: 50, training.lr: 0.5}\n")
    settings = asked(str(spec))
    assert (settings["training.epochs"], settings["training.lr"]) == (1, 0.5)


def test_smoke_leaves_other_data_alone(tmp_path: Path) -> None:
    settings = asked("fusion_waypoints", data=f"kitti:{tmp_path}")
    assert (settings["data.source"], settings["training.epochs"]) == ("kitti", 1)


def test_smoke_of_no_experiment_is_refused() -> None:
    with pytest.raises(SettingError, match="there is no 'translatio'"):
        smoke_of("translatio", "")


def test_the_commands_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path))
    told = CliRunner().invoke(app, ["train", "row_classifier", "--smoke", "--dry-run", "--json"])
    assert json.loads(told.stdout)["settings"]["training.epochs"] == 2
    told = CliRunner().invoke(app, ["tune", "row_classifier", "--smoke", "--dry-run", "--json"])
    assert json.loads(told.stdout)["trials"] == 2
